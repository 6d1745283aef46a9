/**
 *     disk_full        no space left
 *     unwritable       the folder or the file cannot be written or read
 *     newer_schema     written by a newer version of Onrush
 *     not_a_store      the file is something else, or damaged
 */
export type StoreErrorCode = "disk_full" | "unwritable" | "newer_schema" | "not_a_store";

/** What was to be kept is not. The message says which file, why, and what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}

/** Whatever the file system or the database says, as a StoreError. */
export function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const { code, errcode, message } = error as { code?: string; errcode?: number; message: string };
    const primary = (errcode ?? 0) & 0xff;
    if (code === "ENOSPC" || code === "EDQUOT" || primary === SQLITE_FULL) {
      throw new StoreError("disk_full", `no space is left for ${file}: free some, or use another --data folder (${message})`, { cause: error });
    }
    if (primary === SQLITE_NOTADB || primary === SQLITE_CORRUPT) {
      throw new StoreError("not_a_store", `${file} is no Onrush store, or is damaged: move it away, or use another --data folder (${message})`, {
        cause: error,
      });
    }
    throw new StoreError("unwritable", `${file} or its folder cannot be written or read: ${message}`, { cause: error });
  }
}

const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
