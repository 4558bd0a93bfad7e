/// The languages of the pages.
export type Language = 'en' | 'ru';

/// The first language of the browser that the pages have.
export function browserLanguage(wanted: readonly string[] = navigator.languages): Language {
  for (const tag of wanted) {
    const language = tag.slice(0, 2).toLowerCase();
    if (language === 'en' || language === 'ru') return language;
  }
  return 'en';
}
