// Text from models, files and names, made harmless for a terminal.

/** C0 but line feed and tab, DEL, C1, and what turns the direction of writing (as in "Trojan source", CVE-2021-42574). */
// oxlint-disable-next-line no-control-regex
const dangerous = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g;

/**
 * Text that no terminal takes for a command: control characters and signs that turn the direction of writing become
 * U+FFFD, carriage returns go, separators of lines become line feeds.
 */
export function harmless(text: string): string {
  return text
    .replaceAll("\r", "")
    .replaceAll(/[\u2028\u2029]/g, "\n")
    .replaceAll(dangerous, "\uFFFD");
}

/** JSON that means the same with every such character escaped: JSON itself leaves DEL and C1 as they are. */
export function harmlessJson(json: string): string {
  return json.replaceAll(dangerous, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
