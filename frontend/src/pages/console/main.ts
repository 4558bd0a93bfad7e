import '../../base.css';
import '../../chat/chat.css';
import '../forms.css';
import './console.css';

import { mount } from 'svelte';

import { browserLanguage } from '../../text/language';
import App from './App.svelte';

const language = browserLanguage();
document.documentElement.lang = language;
const target = document.getElementById('app');
if (target) {
  target.replaceChildren();
  mount(App, { target, props: { language } });
}
