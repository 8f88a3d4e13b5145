// The ledger's file (`ledger.json` in the state directory): its text, and how it is read again. Reading trusts nothing:
// what makes no sense is no ledger, or not counted.
#pragma once

#include <optional>
#include <string>

#include "nlohmann/json_fwd.hpp"
#include "proxy/ledger_figures.h"

namespace crossfade {

std::string LedgerText(const LedgerFigures& figures);
// What LedgerText gave; nullopt for what can't be understood: torn, or of another version.
std::optional<LedgerFigures> ReadLedgerText(const std::string& text);

// For the report too. Counters by name; a histogram as [[longest microseconds, replies], …] of the buckets in use.
nlohmann::json CountersJson(const Counters& counters);
nlohmann::json HistogramJson(const LatencyHistogram& histogram);
nlohmann::json VerificationJson(const LedgerFigures::Verification& one);

}  // namespace crossfade
