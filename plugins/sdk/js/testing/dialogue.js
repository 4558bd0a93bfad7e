import { mock } from "./mock.js";

export const view = () => JSON.stringify(mock.dialogue);
