/** A node's name: 1-128 characters of A-Z a-z 0-9 . _ : - (it is also a file name: never "." or ".."). */
export const NODE_ID_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}$/;

/** A test's name: 1-64 characters of A-Z a-z 0-9 . _ - that begin with a letter or a digit. */
export const TEST_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
