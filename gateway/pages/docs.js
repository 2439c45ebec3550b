"use strict";

// Renders openapi.json; everything is put in as text, so that nothing in it can be markup.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", {}, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function kind(schema, schemas) {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map((each) => kind(each, schemas)).join(" | ");
  if (schema.type === "array") return `list of ${kind(schema.items, schemas)}`;
  return schema.format ? `${schema.type} (${schema.format})` : schema.type || "object";
}

function fields(schema, schemas) {
  const shape = schema && schema.$ref ? schemas[schema.$ref.split("/").pop()] : schema;
  if (!shape || !shape.properties) return element("p", {}, kind(schema, schemas));
  const needed = new Set(shape.required || []);
  return table(["field", "type", ""], Object.entries(shape.properties).map(([name, inner]) => [
    element("code", {}, name + (needed.has(name) ? "" : "?")),
    element("code", {}, kind(inner, schemas)),
    inner.description || "",
  ]));
}

function section(title, ...children) {
  return [element("h4", {}, title), ...children];
}

function described(method, path, operation, schemas) {
  const summary = element("summary", {},
    element("span", { class: "method" }, method.toUpperCase()),
    element("code", {}, path),
    element("span", { class: "what" }, operation.summary));
  const box = element("details", { id: operation.operationId }, summary);
  if (operation.description) box.append(element("p", {}, operation.description));
  if (operation.parameters.length) {
    box.append(...section("Parameters", table(["name", "in", ""], operation.parameters.map((each) => [
      element("code", {}, each.name), each.in, each.description || ""]))));
  }
  const body = operation.requestBody && Object.values(operation.requestBody.content)[0].schema;
  if (body) {
    box.append(...section("Body", fields(body, schemas)));
    if (body.example) box.append(element("pre", {}, JSON.stringify(body.example, null, 2)));
  }
  box.append(...section("Answers", table(["status", "", "shape"],
    Object.entries(operation.responses).map(([status, answer]) => {
      const [media] = Object.values(answer.content || {});
      return [status, answer.description, element("code", {}, kind(media && media.schema, schemas))];
    }))));
  return box;
}

function shapes(schemas) {
  return Object.entries(schemas).map(([name, schema]) => element("details", { id: name },
    element("summary", {}, element("code", {}, name), element("span", { class: "what" }, schema.description || "")),
    fields(schema, schemas)));
}

async function show() {
  const specification = await (await fetch("/openapi.json")).json();
  const schemas = specification.components.schemas;
  document.getElementById("title").textContent =
    `${specification.info.title} ${specification.info.version}`;
  document.getElementById("about").textContent = specification.info.description;
  const groups = new Map();
  for (const [path, methods] of Object.entries(specification.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag] = operation.tags;
      if (!groups.has(tag)) groups.set(tag, [element("h2", {}, tag)]);
      groups.get(tag).push(described(method, path, operation, schemas));
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren(...[...groups.values()].flat(), element("h2", {}, "shapes"), ...shapes(schemas));
}

show().catch((error) => {
  document.getElementById("operations").textContent = `The description cannot be shown: ${error}`;
});
