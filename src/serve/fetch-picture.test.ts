// Pictures by address: whatever is asked for, nothing inside is reached (server-side request forgery).
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isPublicAddress } from "./addresses.ts";
import { fetchPicture, type FetchRules } from "./fetch-picture.ts";

/** how often something reached what must not be reached */
let reached = 0;
let inside: Server;
let outside: Server;
/** where redirects lead */
const leads: Record<string, string> = {};
let near: string;
let far: string;
const bytes = Buffer.from("a picture");

function listen(server: Server, host: string): Promise<string> {
  return new Promise((resolve) =>
    server.listen(0, host, () => resolve(`${host}:${(server.address() as AddressInfo).port}`)),
  );
}

beforeAll(async () => {
  inside = createServer((_, response) => void response.end(bytes));
  inside.on("connection", () => reached++);
  const serveOutside: RequestListener = ({ url: path = "" }, response) => {
    if (path === "/picture") return void response.end(bytes);
    if (path === "/endless") return void response.writeHead(200).write("x");
    if (path === "/large") return void response.end(Buffer.alloc(2000));
    const to = leads[path];
    response.writeHead(to === undefined ? 404 : 302, to === undefined ? {} : { location: to }).end();
  };
  outside = createServer(serveOutside);
  [near, far] = [await listen(inside, "127.0.0.1"), await listen(outside, "127.0.0.2")];
  leads["/inside"] = `http://${near}/`;
  leads["/name"] = `http://inside.test:${near.split(":")[1]}/`;
  leads["/file"] = "file:///etc/passwd";
  leads["/chain"] = "/chain";
  leads["/ok"] = "/ok/2";
  leads["/ok/2"] = `http://${far}/ok/3`;
  leads["/ok/3"] = "/picture";
});
afterAll(() => {
  for (const server of [inside, outside]) {
    server.closeAllConnections();
    server.close();
  }
  expect(reached).toBe(0);
});

const hour = new AbortController().signal;
const refusal = { status: 400, code: "INVALID_IMAGE_URL", details: { where: "there" } };
/** 127.0.0.2 plays the public internet */
const rules = (more: Partial<FetchRules> = {}): FetchRules => ({
  hosts: ["*"],
  maxBytes: 1000,
  timeoutMs: 30_000,
  allowed: (address) => address === "127.0.0.2",
  resolve: async (name) => [name === "inside.test" ? "127.0.0.1" : "127.0.0.2"],
  ...more,
});
const fetched = (url: string, more?: Partial<FetchRules>): Promise<Buffer> =>
  fetchPicture(url, "there", rules(more), hour);

it("fetches from where it may, over three redirects", async () => {
  const port = far.split(":")[1];
  for (const url of [`http://${far}/picture`, `http://a.test:${port}/picture`, `http://${far}/ok`]) {
    expect(await fetched(url)).toEqual(bytes);
  }
});

it.each(["/inside", "/name", "/file", "/chain", "/none", "/endless", "/large"])("%s leads nowhere", async (path) => {
  const timeoutMs = path === "/endless" ? 300 : 30_000;
  await expect(fetched(`http://${far}${path}`, { timeoutMs })).rejects.toMatchObject(refusal);
});

it("dials the address that it has checked, and none of a name with one that is not public", async () => {
  const url = `http://rebind.test:${far.split(":")[1]}/picture`;
  const answers = ["127.0.0.2", "127.0.0.1"];
  const asked: string[] = [];
  const resolve = async (): Promise<string[]> => (asked.push(""), [answers[asked.length - 1] ?? "127.0.0.1"]);
  expect(await fetched(url, { resolve })).toEqual(bytes);
  expect(asked).toHaveLength(1);
  await expect(fetched(url, { resolve: async () => answers })).rejects.toMatchObject(refusal);
  await expect(fetched(url, { resolve: async () => [] })).rejects.toMatchObject(refusal);
  await expect(fetched(url, { resolve: () => new Promise(() => undefined), timeoutMs: 300 })).rejects.toMatchObject(
    refusal,
  );
  await expect(fetched(url, { hosts: ["pictures.example.org"] })).rejects.toMatchObject(refusal);
});

const forms =
  "127.0.0.1 localhost localhost. LOCALHOST 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 0 0.0.0.0 127.255.255.254 127.0.0.1. [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::7f00:1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [fe80::1] [fc00::1] [fd00::1] [ff02::1] １２７.0.0.1 127。0。0。1 ⑫7.0.0.1 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 0xA9FEA9FE 2852039166 [::ffff:a9fe:a9fe] [64:ff9b::a9fe:a9fe] 100.64.0.1 100.100.100.200 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1 192.0.0.192 metadata.google.internal ok\\@127.0.0.1 ok@127.0.0.1 127.0.0.1#@ok 127.0.0.1%00.ok 127.0.0.1?ok ok:80@127.0.0.1 127.0.0.1\\@ok [::1%25lo] 127.0.0.1%2f@ok";
it.each(forms.split(" "))("http://%s reaches nothing inside", async (host) => {
  const port = near.split(":")[1];
  // the rules as they are for everyone, and a resolver that knows inner addresses alone
  const strict: FetchRules = {
    hosts: ["*"],
    maxBytes: 1000,
    timeoutMs: 400,
    resolve: async () => ["169.254.169.254", "127.0.0.1"],
  };
  for (const url of [`http://${host}:${port}/`, `http://${host}/`, `https://${host}:${port}/`]) {
    await expect(fetchPicture(url, "there", strict, hour)).rejects.toMatchObject(refusal);
  }
});

it("stops when its client leaves", async () => {
  const client = new AbortController();
  const fetching = fetchPicture(`http://${far}/endless`, "there", rules({ timeoutMs: 60_000 }), client.signal);
  setTimeout(() => client.abort(new Error("left")), 50);
  await expect(fetching).rejects.toThrow("left");
});

it("knows public addresses from others", () => {
  const open = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"];
  expect(open.filter((each) => !isPublicAddress(each))).toEqual([]);
  const closed = "10.1.2.3 2001:db8::1 2002:a00:1:: 2001:0:1::1 ::ffff:8.8.8.8 fe80::1%eth0 x".split(" ");
  expect([...closed, ""].filter(isPublicAddress)).toEqual([]);
});
