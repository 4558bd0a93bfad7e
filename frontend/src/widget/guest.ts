/// The account of a visitor without an account. Its tokens lie in the storage of the site; they are good for that site
/// alone, and for nothing but this chat.
import { connect, expect, Refused, type Schemas } from '../api/client';

type Tokens = Schemas['TokenResponse'];

export class Guest {
  #tokens: Tokens | undefined;
  #renewing: Promise<void> | undefined;

  constructor(
    readonly root: URL,
    readonly storage: Storage,
  ) {
    this.#tokens = this.#read();
  }

  /// Sends a request with the guest's token. A token that has expired is replaced first.
  readonly send = async (request: Request): Promise<Response> => {
    if (!this.#tokens) await this.#renew();
    const again = request.clone();
    const response = await fetch(this.#signed(request));
    if (response.status !== 401) return response;
    await this.#renew();
    return fetch(this.#signed(again));
  };

  #signed(request: Request): Request {
    const headers = new Headers(request.headers);
    if (this.#tokens) headers.set('Authorization', `Bearer ${this.#tokens.access_token}`);
    return new Request(request, { headers, credentials: 'omit' });
  }

  /// Requests that fail together renew once.
  #renew(): Promise<void> {
    this.#renewing ??= this.#exchange().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #exchange(): Promise<void> {
    const api = connect(this.root, (request) => fetch(new Request(request, { credentials: 'omit' })));
    // Another window may have renewed them.
    const known = this.#read() ?? this.#tokens;
    if (known) {
      try {
        this.#keep(await expect(api.POST('/auth/refresh', { body: { refresh_token: known.refresh_token } })));
        return;
      } catch (error) {
        if (!(error instanceof Refused) || error.passes) throw error;
        // The account has ended. A new one begins.
      }
    }
    try {
      this.#keep(await expect(api.POST('/widget/guest')));
    } catch (error) {
      // The browser tells scripts no more than that; whoever owns the site needs to know where to look.
      if (error instanceof TypeError) console.warn(`banter: ${this.root.origin} cannot be reached, or does not allow ${location.origin}: see guests.origins`);
      throw error;
    }
  }

  get #place(): string {
    return `banter.guest.${this.root.href}`;
  }

  #read(): Tokens | undefined {
    try {
      return JSON.parse(this.storage.getItem(this.#place) ?? 'null') ?? undefined;
    } catch {
      return undefined;
    }
  }

  #keep(tokens: Tokens): void {
    this.#tokens = tokens;
    try {
      this.storage.setItem(this.#place, JSON.stringify(tokens));
    } catch {
      // Without a storage the guest is new on each page.
    }
  }
}
