import { mock } from "./mock.js";

export const log = (level, message) => void mock.lines.push({ level, message });
