// Which addresses a server may be sent to by strangers: public ones alone.
// Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates).
import { BlockList, isIP } from "node:net";

/** Everything in IPv4 that is no public unicast address. */
const special4: readonly (readonly [net: string, bits: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** Inside 2000::/3: tunnels that lead to any IPv4 address, documentation, benchmarks. */
const special6: typeof special4 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const blocked = new BlockList();
for (const [net, bits] of special4) blocked.addSubnet(net, bits, "ipv4");
for (const [net, bits] of special6) blocked.addSubnet(net, bits, "ipv6");
const global6 = new BlockList();
// all global unicast addresses there are; mapped, translated and local ones lie outside
global6.addSubnet("2000::", 3, "ipv6");

/** True for a public unicast address in its usual spelling; false for everything else, names included. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !blocked.check(address, "ipv4");
  return family === 6 && global6.check(address, "ipv6") && !blocked.check(address, "ipv6");
}
