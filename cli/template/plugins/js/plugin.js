// A starter plugin. Test it with `node --test`; compile it with `banter plugin build {{name}}`.
import { handler, say } from "../sdk/js/index.js";

export const handle = handler((request) => say(`You said: ${request.text}`));
