/// Times and numbers in the language of the page.
export function time(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString(document.documentElement.lang, { dateStyle: 'short', timeStyle: 'short' });
}

export function percent(share: number): string {
  return share.toLocaleString(document.documentElement.lang, { style: 'percent', maximumFractionDigits: 1 });
}

export function milliseconds(value: number): string {
  return `${value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} ms`;
}

/// A value of a slot.
export function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/// The first digits of a version are enough to know it.
export function short(version: string | null | undefined): string {
  return (version ?? '').slice(0, 12);
}

/// What went wrong, for people. `fetch` throws a `TypeError` if there is no connection.
export function messageOf(error: unknown, texts: { failed: string }): string {
  if (error instanceof TypeError) return texts.failed;
  return error instanceof Error ? error.message : String(error);
}
