import { mock } from "./mock.js";

export const now = () => mock.now;
