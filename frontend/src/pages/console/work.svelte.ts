/// What a section of the console does at the reader's wish: one thing at a time, and its failure is shown.
import { messageOf } from './shown';

export class Work {
  constructor(readonly texts: () => { failed: string }) {}

  busy = $state(false);
  /// Why the last one failed.
  problem = $state('');
  /// What the last one has done.
  news = $state('');

  async run(work: () => Promise<unknown>): Promise<void> {
    this.busy = true;
    this.problem = this.news = '';
    try {
      await work();
    } catch (error) {
      this.problem = messageOf(error, this.texts());
    } finally {
      this.busy = false;
    }
  }
}
