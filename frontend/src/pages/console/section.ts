/// What each section of the console gets.
import type { Schemas } from '../../api/client';
import type { ConsoleTexts } from '../../text/console';
import type { Language } from '../../text/language';

export interface SectionProps {
  texts: ConsoleTexts;
  language: Language;
  /// What follows the section's name in the address.
  rest: string;
  scopes: Schemas['Scope'][];
}
