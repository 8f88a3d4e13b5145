#include "proxy/cli_completion.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <string_view>
#include <vector>

#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using Commands = std::vector<const CLI::App*>;

Commands CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

// "--max-pause", "-h": each as it is typed.
std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

bool TakesValue(const CLI::Option& option) {
  return option.get_expected_max() > 0 && option.get_type_size_max() > 0;
}

// What it may be given, if that is a few words: CLI11 tells it in the name of the type, as TEXT:{old,new}.
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t from = type.find('{'), to = type.find('}');
  std::vector<std::string> choices;
  if (from == std::string::npos || to == std::string::npos || to < from) return choices;
  for (const std::string& choice : CLI::detail::split(type.substr(from + 1, to - from - 1), ',')) {
    choices.push_back(CLI::detail::trim_copy(choice));
  }
  return choices;
}

// "HOST:PORT", without what CLI11 adds of choices (TEXT:{old,new}) and ranges (N:INT in [1 - 1000]).
std::string TypeOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  size_t end = type.find(":{");
  if (end == std::string::npos) {
    const size_t range = type.find(" in [");
    if (range != std::string::npos) end = type.rfind(':', range);
  }
  return type.substr(0, end);
}

std::string Spaced(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string Replaced(std::string text, const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    bool replaced = false;
    for (const auto& [from, to] : pairs) {
      if (std::string_view(text).substr(at, from.size()) != from) continue;
      out += to;
      at += from.size();
      replaced = true;
      break;
    }
    if (!replaced) out += text[at++];
  }
  return out;
}

// --- bash ----------------------------------------------------------------------------------------------------------

// A pattern for each option that takes a value: what may follow it.
std::string BashValues(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : OptionsOf(command)) {
    const std::vector<std::string> names = NamesOf(*option);
    if (names.empty() || !TakesValue(*option)) continue;
    std::string patterns;
    for (const std::string& name : names) {
      patterns += fmt::format("{}'{} {}'", patterns.empty() ? "" : " | ", command.get_name(), name);
    }
    const std::vector<std::string> choices = ChoicesOf(*option);
    const std::string type = TypeOf(*option);
    std::string act = "return";
    if (!choices.empty()) act = fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return", Spaced(choices));
    if (type == "FILE") act = "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")); return";
    if (type == "DIR") act = "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$cur\")); return";
    out += fmt::format("    {}) {} ;;\n", patterns, act);
  }
  return out;
}

// --- zsh -----------------------------------------------------------------------------------------------------------

std::string ZshQuoted(const std::string& text, bool in_brackets) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs = {{"'", "'\\''"}, {"\n", " "}};
  if (in_brackets) pairs.insert(pairs.end(), {{"[", "\\["}, {"]", "\\]"}});
  if (!in_brackets) pairs.emplace_back(":", "\\:");
  return Replaced(text, pairs);
}

std::string ZshAction(const CLI::Option& option) {
  const std::vector<std::string> choices = ChoicesOf(option);
  if (!choices.empty()) return fmt::format("({})", Spaced(choices));
  const std::string type = TypeOf(option);
  return type == "FILE" ? "_files" : type == "DIR" ? "_files -/" : " ";
}

std::string ZshSpecs(const CLI::App& command) {
  std::string out;
  int position = 0;
  for (const CLI::Option* option : OptionsOf(command)) {
    const std::vector<std::string> names = NamesOf(*option);
    const std::string about = option->get_description();
    if (names.empty()) {
      const char* colons = option->get_required() ? ":" : "::";
      out += fmt::format(" \\\n        '{}{}{}:{}'", ++position, colons, ZshQuoted(about, false), ZshAction(*option));
      continue;
    }
    for (const std::string& name : names) {
      std::string value;
      if (TakesValue(*option)) value = fmt::format(":{}:{}", ZshQuoted(TypeOf(*option), false), ZshAction(*option));
      out += fmt::format(" \\\n        '{}[{}]{}'", name, ZshQuoted(about, true), value);
    }
  }
  return out;
}

// --- man -----------------------------------------------------------------------------------------------------------

std::string Roff(const std::string& text) {
  return Replaced(text,
                  {{"\\", "\\e"}, {"-", "\\-"}, {"…", "\\&..."}, {"→", "\\(->"}, {"\n.", "\n\\&."}, {"\n'", "\n\\&'"}});
}

// Text whose lines stay as they are.
std::string RoffLines(const std::string& text) {
  std::string out = Roff("\n" + text);
  out.erase(0, 1);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return fmt::format(".nf\n{}\n.fi\n", out);
}

// A paragraph up to the first empty line is text, what follows it is kept in its lines.
std::string RoffBoth(const std::string& text) {
  const size_t end = text.find("\n\n");
  if (end == std::string::npos) return Roff(text) + "\n";
  return Roff(text.substr(0, end)) + "\n.PP\n" + RoffLines(text.substr(end + 2));
}

std::string Sentence(std::string text) {
  if (!text.empty() && std::isalnum(static_cast<unsigned char>(text.back())) != 0) text += ".";
  return text;
}

std::string RoffUsage(const CLI::App& command) {
  std::string out = fmt::format(".SS \"crossfade {}", Roff(command.get_name()));
  for (const CLI::Option* option : OptionsOf(command)) {
    if (!NamesOf(*option).empty()) continue;
    const std::string name = Roff(option->get_name(true));
    out += option->get_required() ? " " + name : " [" + name + "]";
  }
  return out + " [options]\"\n";
}

// --help is told once, of the program.
std::string RoffOptions(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : OptionsOf(command)) {
    const std::vector<std::string> names = NamesOf(*option);
    if (command.get_parent() != nullptr && option == command.get_help_ptr()) continue;
    std::string title = names.empty() ? option->get_name(true) : "";
    for (const std::string& name : names) title += (title.empty() ? "" : ", ") + name;
    if (!names.empty() && TakesValue(*option)) title += " " + TypeOf(*option);
    out += fmt::format(".TP\n.B {}\n{}\n", Roff(title), Roff(Sentence(option->get_description())));
  }
  return out;
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  std::string names, values, words;
  for (const CLI::App* command : CommandsOf(app)) {
    names += (names.empty() ? "" : " ") + command->get_name();
    values += BashValues(*command);
    std::vector<std::string> options, positionals;
    for (const CLI::Option* option : OptionsOf(*command)) {
      for (const std::string& name : NamesOf(*option)) options.push_back(name);
      if (!NamesOf(*option).empty()) continue;
      for (const std::string& choice : ChoicesOf(*option)) positionals.push_back(choice);
    }
    words +=
        fmt::format("    {}) options='{}' words='{}' ;;\n", command->get_name(), Spaced(options), Spaced(positionals));
  }
  std::vector<std::string> options;
  for (const CLI::Option* option : OptionsOf(app)) {
    for (const std::string& name : NamesOf(*option)) options.push_back(name);
  }
  return fmt::format(
      "# bash completion for crossfade: source <(crossfade completion bash)\n"
      "_crossfade() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev='' command='' options words i\n"
      "  ((COMP_CWORD > 0)) && prev=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
      "  COMPREPLY=()\n"
      "  ((COMP_CWORD > 1)) && command=${{COMP_WORDS[1]}}\n"
      "  case \"$command $prev\" in\n{}  esac\n"
      "  case $command in\n"
      "    '') options='{}' words='{}' ;;\n"
      "{}"
      "    *) return ;;\n"
      "  esac\n"
      "  [[ $cur == -* ]] && words=$options\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "}}\n"
      "complete -F _crossfade crossfade\n",
      values, Spaced(options), names, words);
}

std::string ZshCompletion(const CLI::App& app) {
  std::string list, cases;
  for (const CLI::App* command : CommandsOf(app)) {
    list += fmt::format("    '{}:{}'\n", command->get_name(), ZshQuoted(command->get_description(), false));
    cases += fmt::format("    {})\n      _arguments{}\n      ;;\n", command->get_name(), ZshSpecs(*command));
  }
  return fmt::format(
      "#compdef crossfade\n"
      "# zsh completion for crossfade: a file _crossfade in $fpath, or source <(crossfade completion zsh)\n"
      "_crossfade() {{\n"
      "  local -a commands\n"
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe -t commands command commands\n"
      "    return\n"
      "  fi\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $words[1] in\n{}  esac\n"
      "}}\n"
      "if [[ $funcstack[1] == _crossfade ]]; then\n"
      "  _crossfade \"$@\"\n"
      "else\n"
      "  compdef _crossfade crossfade\n"
      "fi\n",
      list, cases);
}

std::string ManPage(const CLI::App& app, const std::string& version) {
  std::string out = fmt::format(".TH CROSSFADE 1 \"\" \"crossfade {}\" \"User Commands\"\n", Roff(version));
  out += ".SH NAME\ncrossfade \\- move live traffic from one Redis\\-compatible store to another\n";
  out += ".SH SYNOPSIS\n.B crossfade\n.I command\n[options]\n";
  out += ".SH DESCRIPTION\n" + RoffBoth(app.get_description());
  out += ".SH OPTIONS\n" + RoffOptions(app);
  out += ".SH COMMANDS\n";
  for (const CLI::App* command : CommandsOf(app)) {
    out += RoffUsage(*command) + Roff(Sentence(command->get_description())) + "\n" + RoffOptions(*command);
    if (!command->get_footer().empty()) out += ".PP\n" + RoffLines(command->get_footer());
  }
  out += ".SH NOTES\n" + RoffLines(app.get_footer());
  return out;
}

}  // namespace crossfade
