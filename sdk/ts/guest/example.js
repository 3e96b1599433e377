// Greets: {"name": "Ada"} is answered {"greeting": "hello Ada", "letters": 3}.
import { fail, log, serve, want } from "./mythos-tool.js";

serve((call) => {
  const name = want.text(want.map(call.payload).get("name"));
  if (name === "") fail(422, "name_empty", "say who you are");
  log.info(`greeting ${name.length} characters`);
  return { greeting: `hello ${name}`, letters: name.length };
});
