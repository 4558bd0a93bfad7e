/// What the chat and the widget say.
import type { Language } from './language';

const en = {
  title: 'Chat',
  message: 'Message',
  placeholder: 'Write a message…',
  send: 'Send',
  conversation: 'Conversation',
  you: 'You',
  bot: 'Bot',
  typing: 'The bot is typing',
  waiting: 'A person has been asked. The answer will appear here.',
  offline: 'No connection. Trying again…',
  notSent: 'Not sent yet. It is sent again on its own.',
  refused: 'Not sent',
  discard: 'Discard',
  again: 'Send again',
  tooOld: 'It was written more than a day ago.',
  earlier: 'Earlier messages',
  empty: 'Say hello, or ask a question.',
  suggestions: 'Suggested replies',
  image: 'Image from the bot',
  open: 'Open',
  close: 'Close',
  loading: 'Loading…',
  failed: 'The page cannot reach the server.',
  retry: 'Try again',
  tooLong: 'A message has at most 2,000 characters.',
};

export type ChatTexts = typeof en;

const ru: ChatTexts = {
  title: 'Чат',
  message: 'Сообщение',
  placeholder: 'Напишите сообщение…',
  send: 'Отправить',
  conversation: 'Разговор',
  you: 'Вы',
  bot: 'Бот',
  typing: 'Бот печатает',
  waiting: 'Мы спросили сотрудника. Ответ появится здесь.',
  offline: 'Нет связи. Пробуем снова…',
  notSent: 'Ещё не отправлено. Отправится само.',
  refused: 'Не отправлено',
  discard: 'Убрать',
  again: 'Отправить снова',
  tooOld: 'Сообщение написано больше суток назад.',
  earlier: 'Более ранние сообщения',
  empty: 'Поздоровайтесь или задайте вопрос.',
  suggestions: 'Варианты ответа',
  image: 'Изображение от бота',
  open: 'Открыть',
  close: 'Закрыть',
  loading: 'Загрузка…',
  failed: 'Страница не может связаться с сервером.',
  retry: 'Повторить',
  tooLong: 'В сообщении не больше 2000 символов.',
};

export const chatTexts: Record<Language, ChatTexts> = { en, ru };
