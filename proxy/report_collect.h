// Collects what a report says from a running proxy. Reads, never changes, but for the ledger, which is brought up to
// date. Judged by routing/signoff.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/report_figures.h"

namespace crossfade {

class Proxy;

// What both stores told about themselves; `audit_text`: the audit trail's lines, empty when there is none.
ReportFigures CollectReport(Proxy* proxy, const StoreTold (&told)[2], const std::string& audit_text, bool values);

// The parts of it, for tests: what must be covered and is, and the entries of an audit trail that make sense.
std::vector<ReportFigures::CoverageRow> CoverageRows(const Tallies& ever, const Tallies& agreed, bool commands,
                                                     int64_t covered_after);
CoverageFacts CoverageOf(const std::vector<ReportFigures::CoverageRow>& rows);
// The newest first; `what`: only those of this kind. A torn line is passed over.
std::vector<ReportFigures::AuditEntry> ReadAudit(const std::string& text, size_t most, std::string_view what = {});
// Who flipped, by what the audit trail says of that moment.
std::string WhoFlipped(const std::vector<ReportFigures::AuditEntry>& audit, const FlipRecord& flip);

}  // namespace crossfade
