/// What the chat page says around the conversation.
import type { Language } from './language';

const en = {
  failed: 'The page cannot reach the server.',
  signIn: 'Sign in',
  signInHelp: 'A new e-mail address creates an account.',
  email: 'E-mail',
  password: 'Password',
  guest: 'Chat without an account',
  guestHelp: 'Its history ends with the session.',
  or: 'or',
  signOut: 'Sign out',
  console: 'Console',
  dialogues: 'Dialogues',
  showDialogues: 'Show dialogues',
  hideDialogues: 'Hide dialogues',
  main: 'Main',
  create: 'New dialogue',
  rename: 'Rename',
  remove: 'Delete',
  name: 'Name',
  nameHelp: '3 to 20 characters',
  save: 'Save',
  cancel: 'Cancel',
  full: 'You have five dialogues. Delete one to create another.',
  removeTitle: (name: string) => `Delete “${name}”?`,
  removeHelp: 'Its messages are deleted, too. This cannot be undone.',
  more: (name: string) => `Actions for “${name}”`,
};

export type PageTexts = typeof en;

const ru: PageTexts = {
  failed: 'Страница не может связаться с сервером.',
  signIn: 'Войти',
  signInHelp: 'Новый адрес создаёт учётную запись.',
  email: 'Электронная почта',
  password: 'Пароль',
  guest: 'Начать без учётной записи',
  guestHelp: 'История исчезнет вместе с сеансом.',
  or: 'или',
  signOut: 'Выйти',
  console: 'Консоль',
  dialogues: 'Диалоги',
  showDialogues: 'Показать диалоги',
  hideDialogues: 'Скрыть диалоги',
  main: 'Основной',
  create: 'Новый диалог',
  rename: 'Переименовать',
  remove: 'Удалить',
  name: 'Название',
  nameHelp: 'от 3 до 20 символов',
  save: 'Сохранить',
  cancel: 'Отмена',
  full: 'У вас пять диалогов. Чтобы создать новый, удалите один.',
  removeTitle: (name: string) => `Удалить «${name}»?`,
  removeHelp: 'Сообщения тоже удалятся. Отменить это нельзя.',
  more: (name: string) => `Действия с «${name}»`,
};

export const pageTexts: Record<Language, PageTexts> = { en, ru };
