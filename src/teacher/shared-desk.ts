// Where many workers ask and keep what they are answered: a ledger and a queue in a database, copied beside the output.
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import type { RunRow } from "../endpoint/ledger-rows.ts";
import { copyLedger, openShared, refuseForeign, type Meeting } from "../queue/shared.ts";
import { askShared } from "./ask-shared.ts";
import { firstOf } from "./candidates.ts";
import type { Desk } from "./desk.ts";

/**
 * A ledger in the database; `path` becomes a copy of it whenever it is read.
 *
 * @throws InputError what `openShared` throws, `QUEUE_LEDGER`; RunError `QUEUE_LOST`
 */
export async function openSharedDesk(meeting: Meeting, path: string, limit: number, run: RunRow): Promise<Desk> {
  await refuseForeign(path, meeting.name);
  const shared = await openShared(meeting);
  const { ledger } = shared;
  const guarded = shared.guard;
  let copy: Ledger | undefined;
  const money = { spent: 0, doubt: 0 };
  const look = async (): Promise<void> => void Object.assign(money, await ledger.totals());
  const close = async (): Promise<void> => {
    await copy?.close();
    await shared.close();
  };
  try {
    await guarded(() => ledger.note({ ...run, settings: { ...run.settings, queue: meeting.name } }));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    money,
    ask: (requests, { enough, ...asking }) =>
      guarded(async () => {
        let cut = (): boolean => false;
        const first = (): ReturnType<typeof requests> => {
          const some = firstOf(requests(), enough);
          cut = some.cut;
          return some.requests;
        };
        const until = await askShared(first, { ...asking, shared, limit, onLook: look });
        return until === "end" && cut() ? "enough" : until;
      }),
    read: () =>
      guarded(async () => {
        await copy?.close();
        await copyLedger(ledger, path);
        await look();
        return (copy = await openLedger(path, { readOnly: true }));
      }),
    failures: () => guarded(() => ledger.failures()),
    close,
  };
}
