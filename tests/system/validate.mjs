// Validates custom resources with the schemas of prometheus-operator's own types: node validate.mjs MODULE < JSON
// One line for each fault on standard output; silent when there is none.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const models = await import(pathToFileURL(process.argv[2]).href);
for (const document of JSON.parse(readFileSync(0, "utf-8"))) {
  try {
    new models[document.kind](document).validate();
  } catch (error) {
    console.log(`${document.kind}/${document.metadata.name}: ${error.message}`);
  }
}
