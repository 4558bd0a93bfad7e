/// How an administrator proves who they are: by the session of the chat page, or by a key that this window remembers.
import { connect, pageRoot } from '../../api/client';

const PLACE = 'banter.adminKey';

export const root = pageRoot();

export function keyOf(storage: Storage = sessionStorage): string {
  return storage.getItem(PLACE) ?? '';
}

export function remember(key: string, storage: Storage = sessionStorage): void {
  if (key === '') storage.removeItem(PLACE);
  else storage.setItem(PLACE, key);
}

/// Sends a request with the key, if there is one.
export function send(request: Request): Promise<Response> {
  const key = keyOf();
  if (key !== '') request.headers.set('X-Admin-Key', key);
  return fetch(request);
}

export const api = connect(root, send);
