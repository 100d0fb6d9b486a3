// Figures as a report writes them.

/** 134,515 */
export function showCount(n: number): string {
  return n.toLocaleString("en-US");
}

/** 85.3 % */
export function showPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** 3.10 GB */
export function showBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

/** 45 s, 12 min, 2 h 05 min */
export function showDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A loss to three digits: 3.15, 0.840 */
export function showLoss(loss: number): string {
  return loss.toPrecision(3);
}
