// What a backfill was asked to do, who the primary was, and how far it has come: plain data, and its text in the state
// directory (`backfill.json`). Proxy/backfill fills it; the admin API and the status show it.
//
// What always holds: whatever is in the file, reading it does no harm, and what is read can be gone on with: every
// figure is within what can be computed with, and a cursor is a cursor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/config.h"
#include "proxy/server_info.h"
#include "proxy/sweep.h"

namespace crossfade {

struct BackfillOptions {
  SweepScope scope;
  int64_t keys_per_second = 0;   // 0: the configuration's
  int64_t bytes_per_second = 0;  // 0: the configuration's
};

struct BackfillRecord {
  Sweep::State state = Sweep::State::kIdle;
  std::string why;
  BackfillOptions options;
  SweepPlace place;
  Side primary = Side::kOld;
  ServerInfo source;       // who the primary was
  int64_t started_ms = 0;  // wall clock
  int64_t ended_ms = 0;    // 0: it hasn't
  int64_t resumed = 0;     // how often a restart of the proxy was in between
};

std::string BackfillText(const BackfillRecord& record);
// What BackfillText gave; nullopt for what can't be understood.
std::optional<BackfillRecord> ReadBackfillText(const std::string& text);

}  // namespace crossfade
