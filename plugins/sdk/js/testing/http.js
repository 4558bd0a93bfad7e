import { mock } from "./mock.js";

export function get(url) {
  const answer = mock.answers.get(url);
  if (!answer) throw `no answer for ${url}`;
  return answer;
}
