/// Saves what the server sends as a file.
import type { Schemas } from '../../api/client';
import { root, send } from './access';

/// Throws with the server's sentence when it refuses.
export async function download(path: string, name: string): Promise<void> {
  const response = await send(new Request(new URL(path, root)));
  if (!response.ok) throw new Error(((await response.json()) as Schemas['Problem']).detail);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
