import { mock } from "./mock.js";

export const get = (key) => mock.kept.get(key) ?? null;
export const set = (key, value) => void mock.kept.set(key, value);
