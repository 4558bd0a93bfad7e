/// Google's sign-in button. Its script is loaded only where a client id is configured, and then from Google alone.
import type { Attachment } from 'svelte/attachments';

const SCRIPT = 'https://accounts.google.com/gsi/client';

interface Google {
  accounts: {
    id: {
      initialize(options: { client_id: string; callback: (answer: { credential: string }) => void }): void;
      renderButton(target: HTMLElement, options: { type: 'standard'; size: 'large' }): void;
    };
  };
}

declare global {
  var google: Google | undefined;
}

/// Puts the button into an element.
export function googleButton(clientId: string, signedIn: (token: string) => void): Attachment<HTMLElement> {
  return (target) => {
    const show = (): void => {
      const id = globalThis.google?.accounts.id;
      id?.initialize({ client_id: clientId, callback: ({ credential }) => signedIn(credential) });
      id?.renderButton(target, { type: 'standard', size: 'large' });
    };
    if (globalThis.google) {
      show();
      return;
    }
    const script = document.createElement('script');
    script.src = SCRIPT;
    script.async = true;
    script.addEventListener('load', show);
    document.head.append(script);
  };
}
