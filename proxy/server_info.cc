#include "proxy/server_info.h"

#include <algorithm>
#include <cstdlib>

#include "protocol/reply.h"

namespace crossfade {

namespace {

// What a store says may be anything. Beyond this it is nonsense, and what is computed from it would overflow.
constexpr int64_t kMost = int64_t{1} << 60;  // keys

}  // namespace

std::string_view InfoField(std::string_view text, std::string_view name) {
  size_t at = 0;
  while ((at = text.find(name, at)) != std::string_view::npos) {
    const size_t after = at + name.size();
    const bool at_line_start = at == 0 || text[at - 1] == '\n';
    if (at_line_start && after < text.size() && text[after] == ':') {
      return text.substr(after + 1, text.find_first_of("\r\n", after) - after - 1);
    }
    at = after;
  }
  return {};
}

void ParseInfo(std::string_view text, int64_t wall_ms, ServerInfo* info) {
  const std::string_view dragonfly = InfoField(text, "dragonfly_version");
  const std::string_view valkey = InfoField(text, "valkey_version");
  info->product = !dragonfly.empty() ? "dragonfly" : !valkey.empty() ? "valkey" : "redis";
  info->version = !dragonfly.empty() ? dragonfly : !valkey.empty() ? valkey : InfoField(text, "redis_version");
  const auto major_minor = ParseDouble(info->version.substr(0, info->version.find('.', info->version.find('.') + 1)));
  info->eager_consumers = info->product != "redis" || major_minor.value_or(0) >= 7.2;
  info->field_expiry = info->product == "redis" ? major_minor.value_or(0) >= 7.4 : major_minor.value_or(0) >= 9;
  info->stream_counters = info->product != "dragonfly" && major_minor.value_or(0) >= 7;
  info->run_id = InfoField(text, "run_id");
  const int64_t uptime_s = ParseInt64(InfoField(text, "uptime_in_seconds")).value_or(0);
  info->started_ms = wall_ms - 1000 * std::clamp<int64_t>(uptime_s, 0, kMostSeconds);
  info->is_replica = InfoField(text, "role") == "slave";
  info->keys = KeysInInfo(text);
}

int ReadDatabases(std::string_view text) {
  return static_cast<int>(std::clamp<int64_t>(ParseInt64(text).value_or(16), 1, ServerInfo::kMostDatabases));
}

int64_t KeysInInfo(std::string_view text, int db) {
  const std::string line = db < 0 ? ":keys=" : "db" + std::to_string(db) + ":keys=";
  int64_t total = 0;
  size_t at = 0;
  while ((at = text.find(line, at)) != std::string_view::npos) {
    at += line.size();
    const int64_t keys = ParseInt64(text.substr(at, text.find_first_not_of("0123456789", at) - at)).value_or(0);
    total = std::min(kMost, total + std::clamp<int64_t>(keys, 0, kMost));
  }
  return total;
}

ReplicationInfo ParseReplication(std::string_view text) {
  const auto number = [text](std::string_view name) {
    return std::clamp<int64_t>(ParseInt64(InfoField(text, name)).value_or(0), 0, kMost);
  };
  ReplicationInfo info;
  const std::string_view role = InfoField(text, "role");
  info.replica = role == "slave" || role == "replica";
  info.offset = number(info.replica ? "slave_repl_offset" : "master_repl_offset");
  info.replid = InfoField(text, "master_replid");
  if (!info.replica) return info;
  const std::string_view host = InfoField(text, "master_host");
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  info.master = is_ipv6 ? "[" + std::string(host) + "]" : std::string(host);
  info.master += ":" + std::string(InfoField(text, "master_port"));
  info.link_up = InfoField(text, "master_link_status") == "up";
  info.syncing = InfoField(text, "master_sync_in_progress") == "1";
  info.down_s = number("master_link_down_since_seconds");
  return info;
}

bool SameProcess(const ServerInfo& a, const ServerInfo& b) {
  constexpr int64_t kSlackMs = 3000;
  if (!a.run_id.empty() && !b.run_id.empty()) return a.run_id == b.run_id;
  return std::llabs(a.started_ms - b.started_ms) <= kSlackMs;
}

bool ReadClock(std::string_view time_reply, int64_t sent_ms, int64_t read_ms, ClockReading* reading) {
  const Reply reply = ParseReply(time_reply);
  if (reply.items.size() != 2) return false;
  const auto seconds = ParseInt64(reply.items[0].text);
  const auto micros = ParseInt64(reply.items[1].text);
  if (!seconds || !micros || *seconds < 0 || *seconds > kMostSeconds || *micros < 0 || *micros >= 1'000'000)
    return false;
  reading->offset_ms = *seconds * 1000 + *micros / 1000 - (sent_ms + read_ms) / 2;
  reading->uncertainty_ms = (read_ms - sent_ms) / 2 + 2;
  if (std::llabs(reading->offset_ms) <= reading->uncertainty_ms) {
    reading->uncertainty_ms += std::llabs(reading->offset_ms);
    reading->offset_ms = 0;
  }
  return true;
}

bool Replaces(const ClockReading& fresh, const ClockReading& known, int64_t age_ms) {
  constexpr int64_t kDriftMs = 10'000;  // for each millisecond: a hundred millionths, ten times a usual quartz's
  const int64_t drifted_ms = age_ms / kDriftMs;
  if (std::llabs(fresh.offset_ms - known.offset_ms) > fresh.uncertainty_ms + known.uncertainty_ms + drifted_ms) {
    return true;
  }
  return known.uncertainty_ms == 0 || fresh.uncertainty_ms <= known.uncertainty_ms + drifted_ms;
}

}  // namespace crossfade
