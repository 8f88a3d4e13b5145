// The sections of a report's document between its summary and its checklist. For proxy/report_document.
#pragma once

#include <vector>

#include "proxy/report_document.h"

namespace crossfade {

// Latency, memory and hits of both stores; what was compared, and what differed; what was not migrated; errors.
void AppendStoreSections(const ReportFigures& figures, std::vector<ReportSection>* sections);
// Backfill, verifications, the check; flips and who did what; runs, gaps and what is missing; the raw counters.
void AppendHistorySections(const ReportFigures& figures, std::vector<ReportSection>* sections);

// Blocks of one kind.
ReportBlock TextBlock(std::string text);
ReportBlock TableBlock(std::string above, ReportTable table);
// 12.5 %; a dash when there is nothing of which it could be a share.
std::string ShareOf(uint64_t part, uint64_t whole);

}  // namespace crossfade
