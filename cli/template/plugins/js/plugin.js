// A plugin of your own: `node --test` tests it, `banter plugin build {{name}}` compiles it.
import { handler, say } from "../sdk/js/index.js";

export const handle = handler((request) => say(`You said: ${request.text}`));
