// Keys come from the environment, by the name of the variable, so that none stands in a command or a file.
import { InputError } from "../errors.ts";

/**
 * The key in an environment variable; undefined when no variable is named, as for most local servers.
 *
 * @throws InputError `ENDPOINT_KEY` when the named variable is empty or absent
 */
export function keyFrom(
  variable: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  if (variable === undefined) return undefined;
  const key = environment[variable]?.trim();
  if (key !== undefined && key !== "") return key;
  throw new InputError("ENDPOINT_KEY", {
    expected: `a key in the environment variable ${variable}`,
    got: "nothing",
    fix: `set ${variable}, or leave the variable's name out where the endpoint needs no key`,
  });
}
