/** The Authorization header that the user name and password in a URL ask for (RFC 7617, UTF-8); null: it has none. */
export function basicAuthorization(url: URL): string | null {
  if (url.username === "" && url.password === "") return null;
  const bytes = new TextEncoder().encode(`${decoded(url.username)}:${decoded(url.password)}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** A URL without user name and password. */
export function withoutCredentials(url: URL): string {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return bare.href;
}

/** What is no valid encoding is meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
