import { mock } from "./mock.js";

export const unit = () => mock.unit;
export const below = (limit) => Math.floor(mock.unit * limit);
