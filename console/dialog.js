// The dialog that stands between every control and the proxy: it says what will happen, how it is undone, and the
// request and command line that do the same; then it does it, and stays open when it was refused, with the reason.

const $ = (id) => document.getElementById(id);

function paragraphs(box, lines) {
  box.replaceChildren(
    ...lines.map((line) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      return paragraph;
    }),
  );
}

function makeField(field, changed) {
  const row = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.id = `confirm-${field.name}`;
  label.htmlFor = input.id;
  label.textContent = field.label;
  input.type = field.type;
  row.className = "field";
  if (field.type === "checkbox") {
    input.checked = Boolean(field.value);
    row.append(input, " ", label);
  } else {
    input.value = field.value ?? "";
    if (field.type === "number") Object.assign(input, { min: field.min ?? 0, max: field.max ?? "", step: "any" });
    row.append(label, " ", input);
  }
  if (field.hint) {
    const hint = document.createElement("span");
    hint.className = "note";
    hint.id = `${input.id}-hint`;
    hint.textContent = field.hint;
    input.setAttribute("aria-describedby", hint.id);
    row.append(" ", hint);
  }
  input.addEventListener("input", changed);
  return {
    row,
    read: () =>
      field.type === "checkbox"
        ? input.checked
        : field.type === "number" && input.value !== ""
          ? Number(input.value)
          : input.value.trim(),
  };
}

export class Confirm {
  // `api` carries it out; `done(sentence)` hears what came of it.
  constructor(api, done) {
    this.api = api;
    this.done = done;
    $("confirm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.carryOut();
    });
    $("confirm-cancel").addEventListener("click", () => $("confirm").close());
    $("confirm").addEventListener("close", () => {
      this.action = null; // what is still on its way is told elsewhere
    });
  }

  // action: {title, verb, warn?, checks?, fields?, plan(values) → {says, back, method, path, body, cli}, run?(plan),
  // done(answer), stays?(answer) → lines}
  open(action) {
    this.action = action;
    $("confirm-title").textContent = action.title;
    this.fields = (action.fields ?? []).map((field) => ({ name: field.name, ...makeField(field, () => this.show()) }));
    $("confirm-fields").replaceChildren(...this.fields.map((field) => field.row));
    $("confirm-checks").hidden = !action.checks;
    $("confirm-refused").textContent = "";
    $("confirm-result").replaceChildren();
    $("confirm-do").textContent = action.verb;
    $("confirm-do").classList.toggle("warn", Boolean(action.warn));
    $("confirm-do").hidden = false;
    $("confirm-do").disabled = false;
    $("confirm-cancel").textContent = "Cancel";
    this.show();
    if (!$("confirm").open) $("confirm").showModal();
    $("confirm-cancel").focus(); // Return alone does nothing
  }

  values() {
    return Object.fromEntries(this.fields.map((field) => [field.name, field.read()]));
  }

  show() {
    const plan = this.action.plan(this.values());
    paragraphs($("confirm-says"), plan.says);
    $("confirm-back").textContent = plan.back ? `The way back: ${plan.back}` : "";
    $("confirm-cli").textContent = plan.cli ?? "";
    const body = plan.body === undefined ? "" : ` ${JSON.stringify(plan.body)}`;
    $("confirm-request").textContent = `${plan.method} /${plan.path}${body}`;
    $("confirm-refused").textContent = "";
  }

  async carryOut() {
    const action = this.action;
    const button = $("confirm-do");
    if (button.hidden || button.disabled) return;
    const plan = action.plan(this.values());
    button.disabled = true;
    button.textContent = "Working…";
    $("confirm-refused").textContent = "";
    try {
      const answer = await (action.run ? action.run(plan) : this.api.call(plan.method, plan.path, plan.body));
      if (this.action === action) this.succeeded(action.stays?.(answer));
      this.done(action.done(answer));
    } catch (error) {
      const reason = refusal(error);
      if (this.action === action) $("confirm-refused").textContent = reason;
      else this.done(`${action.title}: ${reason}`);
    } finally {
      if (this.action === action || this.action === null) {
        button.disabled = false;
        button.textContent = action.verb;
      }
    }
  }

  // Closes, unless there is something to be read.
  succeeded(lines) {
    if (!lines) return $("confirm").close();
    paragraphs($("confirm-result"), lines);
    $("confirm-do").hidden = true;
    $("confirm-cancel").textContent = "Close";
    $("confirm-cancel").focus();
  }
}

function refusal(error) {
  if (error.status === 409) return `Refused: ${error.message}`;
  if (typeof error.status === "number") return `Not done: ${error.message}`;
  return "The proxy did not answer. It may have been done all the same: look at the figures before you try again.";
}
