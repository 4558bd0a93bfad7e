/// The server's API, with the types of its description.
import createClient, { type Client } from 'openapi-fetch';

import type { components, paths } from './schema';

export type Api = Client<paths>;
export type Schemas = components['schemas'];
export type Turn = Schemas['TurnMessage'];
export type Problem = Schemas['Problem'];

/// How requests prove who sends them: the page by its cookie, the widget by a token.
export type Fetch = (request: Request) => Promise<Response>;

/// The folder of the page is the root of the API, also below a path prefix.
export function pageRoot(): URL {
  return new URL('./', document.baseURI);
}

export function connect(root: URL, send: Fetch = (request) => fetch(request)): Api {
  return createClient<paths>({ baseUrl: root.href, fetch: send });
}

/// A request that the server has refused, with its sentence for people.
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem | undefined,
    /// Seconds to wait before the next try.
    readonly retryAfter: number | undefined,
  ) {
    super(problem?.detail ?? `HTTP ${status}`);
  }

  /// Whether the same request may succeed later.
  get passes(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

/// The data of an answer.
///
/// Throws `Refused` for an error status. A lost connection throws a `TypeError`, as `fetch` does.
export async function expect<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok && data !== undefined) return data;
  const problem = typeof error === 'object' && error !== null ? (error as Problem) : undefined;
  const wait = Number(response.headers.get('Retry-After'));
  throw new Refused(response.status, problem, wait > 0 ? wait : undefined);
}
