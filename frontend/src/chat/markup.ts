/// What a bot sends, as the chat shows it. Nothing of it is taken for HTML.
import type { Turn } from '../api/client';

export interface Card {
  title: string;
  text?: string;
  image?: string;
  url?: string;
  /// A button either says something or opens a page.
  buttons: { title: string; say?: string; url?: string }[];
}

export type Part =
  | { kind: 'text'; text: string; suggestions: string[] }
  | { kind: 'image'; url: string }
  | { kind: 'cards'; cards: Card[] };

/// The parts of a turn's outputs, in order. Data that no page shows is left out.
export function parts(outputs: Turn['outputs']): Part[] {
  if (!Array.isArray(outputs)) return [];
  return outputs.flatMap((output: unknown): Part[] => {
    const { type, text, suggestions, url, value } = record(output);
    switch (type) {
      case 'text':
        return [{ kind: 'text', text: string(text) ?? '', suggestions: strings(suggestions) }];
      case 'image': {
        const safe = pictureAddress(url);
        return safe === undefined ? [] : [{ kind: 'image', url: safe }];
      }
      case 'payload': {
        const cards = cardsOf(value);
        return cards.length === 0 ? [] : [{ kind: 'cards', cards }];
      }
      default:
        return [];
    }
  });
}

/// `{"cards": [{"title", "text", "image", "url", "buttons": [{"title", "say" | "url"}]}]}`.
function cardsOf(payload: unknown): Card[] {
  const { cards } = record(payload);
  if (!Array.isArray(cards)) return [];
  return cards.flatMap((card: unknown): Card[] => {
    const fields = record(card);
    const title = string(fields['title']);
    if (title === undefined) return [];
    const buttons = Array.isArray(fields['buttons']) ? fields['buttons'] : [];
    return [
      {
        title,
        ...optional('text', string(fields['text'])),
        ...optional('image', pictureAddress(fields['image'])),
        ...optional('url', webAddress(fields['url'])),
        buttons: buttons.flatMap((button: unknown) => {
          const { title, say, url } = record(button);
          const label = string(title);
          const target = { ...optional('say', string(say)), ...optional('url', webAddress(url)) };
          return label === undefined || Object.keys(target).length === 0 ? [] : [{ title: label, ...target }];
        }),
      },
    ];
  });
}

/// A piece of a text: with `url`, a link.
export interface Piece {
  text: string;
  url?: string;
}

/// A text with its web addresses as links. Punctuation after an address belongs to the sentence.
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"']+/giu)) {
    const address = match[0].replace(/[.,:;!?…)\]»”]+$/u, '');
    const url = webAddress(address);
    if (url === undefined) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index) });
    found.push({ text: address, url });
    end = match.index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

/// An address that is safe to open: no script, no file.
export function webAddress(value: unknown): string | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const { protocol, href } = new URL(value);
  return protocol === 'https:' || protocol === 'http:' ? href : undefined;
}

/// The address of a picture. The page loads pictures by HTTPS alone.
export function pictureAddress(value: unknown): string | undefined {
  const address = webAddress(value);
  return address?.startsWith('https:') ? address : undefined;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
