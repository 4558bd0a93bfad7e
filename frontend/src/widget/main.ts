/// The chat for any site: `<script src="https://bot.example/widget.js" data-title="Help"></script>`.
///
/// The script puts a `<banter-chat>` element into the page; a page may also place one itself. Attributes, on the element
/// or as `data-` on the script: `title`, `language` (en, ru), `theme` (light, dark), `accent` (a colour), `side` (left,
/// right), `open`.
import { mount, unmount } from 'svelte';

import baseCss from '../base.css?inline';
import chatCss from '../chat/chat.css?inline';
import { chatTexts } from '../text/chat';
import { browserLanguage } from '../text/language';
import Widget from './Widget.svelte';
import widgetCss from './widget.css?inline';

const ATTRIBUTES = ['title', 'language', 'theme', 'accent', 'side', 'open'];

const script = document.currentScript instanceof HTMLScriptElement ? document.currentScript : undefined;
/// The folder of the script is the root of the API.
const root = new URL('./', script?.src ?? document.baseURI);

class BanterChat extends HTMLElement {
  #widget: ReturnType<typeof mount> | undefined;

  connectedCallback(): void {
    if (this.#widget) return;
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    // A constructed sheet needs no `unsafe-inline` in the site's policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync([widgetCss, baseCss, chatCss].join('\n'));
    shadow.adoptedStyleSheets = [sheet];
    const language = browserLanguage([this.getAttribute('language') ?? '', ...navigator.languages]);
    const texts = chatTexts[language];
    this.lang = language;
    const accent = this.getAttribute('accent');
    if (accent !== null && CSS.supports('color', accent)) this.style.setProperty('--accent', accent);
    const toggled = (open: boolean): void => void this.toggleAttribute('open', open);
    const title = this.getAttribute('title') ?? texts.title;
    // Browsers would show the attribute as a tool tip.
    this.removeAttribute('title');
    this.#widget = mount(Widget, { target: shadow, props: { root, texts, title, open: this.hasAttribute('open'), toggled } });
  }

  disconnectedCallback(): void {
    if (this.#widget) void unmount(this.#widget);
    this.#widget = undefined;
  }
}

customElements.define('banter-chat', BanterChat);

function place(): void {
  if (document.querySelector('banter-chat')) return;
  const element = document.createElement('banter-chat');
  for (const name of ATTRIBUTES) {
    const value = script?.dataset[name];
    if (value !== undefined) element.setAttribute(name, value);
  }
  document.body.append(element);
}

if (document.readyState === 'loading') addEventListener('DOMContentLoaded', place);
else place();
