// A hard cap on money: the worst case is set aside before a request is sent, what it cost is taken after.

export interface Budget {
  /** nanodollars */
  readonly limit: number;
  /** spent or possibly spent; what is set aside is not counted */
  readonly spent: number;
  /** waits while requests under way may give enough back; false once the cap leaves no room */
  reserve(amount: number): Promise<boolean>;
  /** the same without waiting */
  tryReserve(amount: number): boolean;
  settle(reserved: number, cost: number): void;
}

/** `spent`: what earlier runs have taken; the limit may be Infinity. */
export function openBudget(limit: number, spent: number): Budget {
  let reserved = 0;
  const waiting: { readonly amount: number; readonly done: (granted: boolean) => void }[] = [];
  const grant = (amount: number): boolean => {
    if (spent + reserved + amount > limit) return false;
    reserved += amount;
    return true;
  };
  const settleWaiting = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const granted = grant(next.amount);
      // nothing is under way any more that could give something back
      if (!granted && reserved > 0) return;
      waiting.shift();
      next.done(granted);
    }
  };
  return {
    limit,
    get spent() {
      return spent;
    },
    reserve(amount) {
      if (waiting.length === 0 && grant(amount)) return Promise.resolve(true);
      return new Promise((done) => {
        waiting.push({ amount, done });
        settleWaiting();
      });
    },
    tryReserve: (amount) => waiting.length === 0 && grant(amount),
    settle(amount, cost) {
      reserved -= amount;
      spent += cost;
      settleWaiting();
    },
  };
}
