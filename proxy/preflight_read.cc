#include "proxy/preflight_read.h"

#include <algorithm>
#include <cctype>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/sha1.h"
#include "proxy/server_info.h"
#include "proxy/store_asker.h"
#include "routing/acl_rules.h"

namespace crossfade {

namespace {

constexpr const char* kSettings[] = {"databases", "maxmemory", "maxmemory-policy", "maxclients",
                                     "notify-keyspace-events"};
constexpr size_t kMostDatabases = 16;  // that are sampled
constexpr size_t kMostBig = 3;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

int64_t Figure(std::string_view text, std::string_view name) {
  return std::clamp<int64_t>(ParseInt64(InfoField(text, name)).value_or(0), 0, kMostFigure);
}

// Calls back with each "name:value" line.
template <typename F>
void EachLine(std::string_view text, F on_line) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) on_line(line.substr(0, colon), line.substr(colon + 1));
  }
}

int64_t AfterEquals(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  const std::string_view digits = text.substr(at + name.size());
  const auto figure = ParseInt64(digits.substr(0, digits.find_first_not_of("0123456789")));
  return std::clamp<int64_t>(figure.value_or(0), 0, kMostFigure);
}

ServerFigures ReadInfo(std::string_view text) {
  ServerInfo who;
  ParseInfo(text, 0, &who);
  ServerFigures figures;
  figures.product = who.product;
  figures.version = who.version;
  figures.run_id = who.run_id;
  figures.is_replica = who.is_replica;
  figures.stream_counters = who.stream_counters;
  figures.mode = InfoField(text, "redis_mode");
  figures.is_cluster = InfoField(text, "cluster_enabled") == "1" || figures.mode == "cluster";
  figures.loading = InfoField(text, "loading") == "1";
  figures.policy = InfoField(text, "maxmemory_policy");
  figures.used_memory = Figure(text, "used_memory");
  figures.maxmemory = Figure(text, "maxmemory");
  figures.system_memory = Figure(text, "total_system_memory");
  figures.connected_clients = Figure(text, "connected_clients");
  figures.maxclients = Figure(text, "maxclients");
  EachLine(text, [&figures](std::string_view name, std::string_view value) {
    if (!name.starts_with("db") || !value.starts_with("keys=")) return;
    const auto db = ParseInt64(name.substr(2));
    const int64_t keys = AfterEquals(value, "keys=");
    if (db && *db >= 0 && *db < 1'000'000 && keys > 0) figures.keys[static_cast<int>(*db)] = keys;
  });
  return figures;
}

std::map<std::string, int64_t> ReadCalls(std::string_view text) {
  std::map<std::string, int64_t> calls;
  EachLine(text, [&calls](std::string_view name, std::string_view value) {
    constexpr std::string_view kPrefix = "cmdstat_";
    if (!name.starts_with(kPrefix)) return;
    int64_t& sum = calls[Lower(name.substr(kPrefix.size()))];
    sum = std::min(kMostFigure, sum + AfterEquals(value, "calls="));
  });
  return calls;
}

// The value beside this name in each of a list's maps (MODULE LIST, FUNCTION LIST).
std::vector<std::string> NamesIn(const Reply& list, std::string_view field) {
  std::vector<std::string> names;
  for (const Reply& entry : list.items) {
    for (size_t i = 0; i + 1 < entry.items.size(); i += 2) {
      if (entry.items[i].text == field) names.emplace_back(entry.items[i + 1].text);
    }
  }
  return names;
}

// Of the rules, which have hashes of passwords in them, only a digest stays.
std::map<std::string, std::string> UsersIn(const Reply& list) {
  std::map<std::string, std::string> users;
  for (const Reply& line : list.items) {
    const auto user = ParseAclUser(line.text);
    if (!user) continue;
    std::string rules;
    for (const std::string& rule : user->rules) rules += rule + '\n';
    users[user->name] = Sha1Hex(rules);
  }
  return users;
}

template <typename T, typename F>
void Take(std::string_view answer, Told<T>* told, F read) {
  const Reply reply = ParseReply(answer);
  if (reply.is_error()) {
    told->refused = std::string(reply.text);
  } else {
    told->Set(read(reply));
  }
}

}  // namespace

CommandBatch LookQuestions() {
  CommandBatch batch;
  batch.Add({"INFO"});
  batch.Add({"INFO", "commandstats"});
  for (const char* setting : kSettings) batch.Add({"CONFIG", "GET", setting});
  batch.Add({"MODULE", "LIST"});
  batch.Add({"FUNCTION", "LIST"});
  batch.Add({"ACL", "LIST"});
  batch.Add({"ACL", "WHOAMI"});
  return batch;
}

void ReadLook(std::span<const std::string> answers, StoreFacts* store) {
  size_t at = 0;
  Take(answers[at++], &store->info, [](const Reply& reply) { return ReadInfo(reply.text); });
  Take(answers[at++], &store->calls, [](const Reply& reply) { return ReadCalls(reply.text); });
  for (const char* setting : kSettings) {
    Told<std::string>& told = store->config[setting];
    Take(answers[at++], &told,
         [](const Reply& reply) { return reply.items.size() == 2 ? std::string(reply.items[1].text) : std::string(); });
    // Services hide settings by answering nothing for them; only this one may well be empty.
    const bool may_be_empty = std::string_view(setting) == "notify-keyspace-events";
    const bool hidden = ParseReply(answers[at - 1]).items.size() != 2;
    if (told.known() && (hidden || (told.value.empty() && !may_be_empty))) told.refused = "the server does not tell";
  }
  Take(answers[at++], &store->modules, [](const Reply& reply) { return NamesIn(reply, "name"); });
  Take(answers[at++], &store->functions, [](const Reply& reply) { return NamesIn(reply, "library_name"); });
  Take(answers[at++], &store->users, UsersIn);
  const Reply whoami = ParseReply(answers[at++]);
  if (!whoami.is_error()) store->whoami = whoami.text;
}

std::vector<SampleQuestion> SampleOf(const ServerFigures& figures, size_t wanted) {
  std::vector<SampleQuestion> questions;
  const double all = static_cast<double>(std::max<int64_t>(1, figures.all_keys()));
  for (const auto& [db, keys] : figures.keys) {
    if (questions.size() == kMostDatabases) break;
    const double share = static_cast<double>(keys) / all;
    questions.push_back({db, std::max<size_t>(5, static_cast<size_t>(share * static_cast<double>(wanted)))});
  }
  return questions;
}

void AddSample(const std::vector<SampleQuestion>& questions, CommandBatch* batch) {
  for (const SampleQuestion& question : questions) {
    batch->Add({"SELECT", std::to_string(question.db)});
    batch->Add({"SCAN", "0", "COUNT", std::to_string(question.wanted)});
  }
  batch->Add({"SELECT", "0"});
}

std::vector<SampledKey> ReadSample(const std::vector<SampleQuestion>& questions, std::span<const std::string> answers,
                                   std::string* refused) {
  std::vector<SampledKey> keys;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (const std::string error = ErrorText(answers[2 * i]); !error.empty()) {
      *refused = error;
      continue;
    }
    const Reply page = ParseReply(answers[2 * i + 1]);
    if (page.is_error()) *refused = std::string(page.text);
    if (page.items.size() != 2) continue;
    size_t taken = 0;
    for (const Reply& key : page.items[1].items) {
      if (IsTemporaryName(key.text)) continue;
      if (taken++ == questions[i].wanted) break;
      keys.push_back({questions[i].db, std::string(key.text)});
    }
  }
  return keys;
}

CommandBatch KeyQuestions(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news) {
  CommandBatch batch;
  for (const SampledKey& key : olds) {
    batch.Add({"SELECT", std::to_string(key.db)});
    batch.Add({"TYPE", key.name});
    batch.Add({"MEMORY", "USAGE", key.name});
  }
  for (const SampledKey& key : news) {
    batch.Add({"SELECT", std::to_string(key.db)});
    batch.Add({"EXISTS", key.name});
  }
  batch.Add({"SELECT", "0"});
  return batch;
}

void ReadSampledKeys(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news,
                     std::span<const std::string> answers, PreflightFacts* facts) {
  size_t at = 0;
  for (const SampledKey& key : olds) {
    const Reply type = ParseReply(answers[at + 1]), usage = ParseReply(answers[at + 2]);
    at += 3;
    if (type.is_error()) {
      facts->sample_refused = std::string(type.text);
      continue;
    }
    if (type.text == "none") continue;  // expired meanwhile
    ++facts->sampled;
    ++facts->types[std::string(type.text)];
    if (usage.is_error()) {
      facts->usage_refused = std::string(usage.text);
    } else if (usage.type == ReplyType::kInteger) {
      facts->biggest.push_back({key.db, key.name, std::string(type.text), usage.integer});
    }
  }
  const auto larger = [](const BigKey& a, const BigKey& b) { return a.bytes > b.bytes; };
  std::stable_sort(facts->biggest.begin(), facts->biggest.end(), larger);
  if (facts->biggest.size() > kMostBig) facts->biggest.resize(kMostBig);
  for (size_t i = 0; i < news.size(); ++i) {
    const Reply selected = ParseReply(answers[at]);
    const auto exists = IntegerReply(answers[at + 1]);
    at += 2;
    if (!exists || selected.is_error()) continue;
    ++facts->looked_up;
    if (*exists == 0) ++facts->only_on_new;
  }
}

}  // namespace crossfade
