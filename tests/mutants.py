"""Breaks the code in named ways, one at a time, and shows that a named test notices each (`make mutants`).

A mutant is applied to a temporary copy of the checkout; the checkout itself is never touched. Names on the command
line choose some of them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 300
COPIED = ("services", "operator", "tests", "docs", "charts", "pyproject.toml", "README.md")
TESTS_FAILED = 1  # pytest's exit status


@dataclass(frozen=True)
class Edit:
    """`old`, which occurs once in `file`, becomes `new`. Paths are from the root."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One defect.

    Attributes:
        name: What is wrong with the code afterwards.
        test: pytest's id of the test that must turn red; green without the mutant.
        edits: How to break it; several where more than one guard stands in the way.
    """

    name: str
    test: str
    edits: tuple[Edit, ...]


CORE, LLM, ADAPTERS, API = (f"services/chatbot/{layer}" for layer in ("core", "llm", "adapters", "api"))
ADMISSION, ANSWER = "tests/unit/test_admission.py", "tests/unit/test_answer.py"
SESSIONS = "tests/integration/test_http_sessions.py"
DRAIN = "tests/integration/test_http_drain.py"
OWN_KEYS = "tests/integration/test_upstream_key.py"
CHARACTERS, CARDS = "tests/integration/test_http_characters.py", "tests/unit/test_characters_cards.py"
MACROS = "tests/unit/test_characters_macros.py"
STYLIST, STYLED, SPEECH = (f"tests/unit/test_{name}.py" for name in ("stylist", "styled_source", "speech"))
LOOP = "tests/unit/test_agent_loop.py"
KEPT = "tests/unit/test_kept_answers.py"
REDIS = "tests/integration/test_history_redis.py"
SUMMARIES, CONTINUED = "tests/integration/test_memory_summaries.py", "tests/integration/test_memory_continue.py"
STORES, SCHEDULER = "tests/integration/test_conversation_store.py", "tests/integration/test_engine_scheduler.py"
STREAMS = "tests/integration/test_engine_streams.py"
DECISION = "tests/integration/test_engine_decision.py"

DOCUMENTS, DOCUMENT_STORE = f"{ADAPTERS}/documents", "tests/integration/test_document_store.py"
MONGO_DOCUMENTS = "tests/integration/test_document_store_mongo.py"
DOCUMENT_VECTORS = "tests/integration/test_document_vectors.py"
QDRANT_DOCUMENTS = "tests/integration/test_documents_qdrant.py"

USE, PRICES = "services/chatbot/domain/usage", "tests/unit/test_prices.py"
USAGE_STORE = "tests/integration/test_usage_store.py"
CURATED = "tests/unit/test_characters_curated.py"
LIMITS, TENANTS = "tests/integration/test_limits_http.py", "tests/integration/test_limits_tenants.py"
CONFIRMED = "tests/integration/test_confirmations_http.py"
TOOL_SERVERS, MCP = "tests/unit/test_toolservers.py", "tests/integration/test_mcp_servers.py"
ACCOUNT, ACCOUNT_TEST = f"{CORE}/limits/account.py", "tests/unit/test_limits_account.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a session is read after its question was embedded elsewhere",
        "tests/integration/test_privacy_http.py::test_no_word_leaves_the_house_whoever_says_so[conversation]",
        (Edit(f"{API}/sessions/routes.py", "return read is None or read.local_only", "return False"),),
    ),
    Mutant(
        "a turn that must not be kept is kept",
        "tests/integration/test_privacy_http.py::test_what_must_not_be_kept_is_kept_nowhere_and_what_was_kept_is_told[request-/Llama]",
        (
            Edit(
                f"{CORE}/answering/past.py",
                "question.db_id is None or not question.may_store:",
                "question.db_id is None:",
            ),
        ),
    ),
    Mutant(
        "the laxer wish about words wins",
        "tests/integration/test_privacy_http.py::test_no_word_leaves_the_house_whoever_says_so[request]",
        (Edit("services/chatbot/domain/privacy/flags.py", "any(one.local_only", "all(one.local_only"),),
    ),
    Mutant(
        "a removed end of the audit is written over",
        "tests/integration/test_audit_store.py::test_what_was_removed_at_the_end_stays_missing_when_others_come[sqlite]",
        (
            Edit(
                f"{CORE}/audit/chain.py",
                "if mark is not None and mark.number >= number",
                "if mark is not None and not number",
            ),
        ),
    ),
    Mutant(
        "a deed is done that cannot be recorded",
        "tests/integration/test_audit_store.py::test_what_cannot_be_recorded_does_not_begin[sqlite]",
        (
            Edit(
                f"{CORE}/audit/audit.py",
                "await self.write(before, AuditOutcome.BEGUN)",
                "await self.note(before, AuditOutcome.BEGUN)",
            ),
        ),
    ),
    Mutant(
        "a changed definition of a tool is offered",
        f"{TOOL_SERVERS}::test_a_changed_definition_withdraws_the_tool_until_it_is_the_old_one_again",
        (Edit(f"{CORE}/toolservers/judging.py", "if approved != pin:", "if not approved:"),),
    ),
    Mutant(
        "a tool is called although it was withdrawn since",
        f"{TOOL_SERVERS}::test_a_tool_whose_definition_changed_since_the_model_was_told_of_it_is_not_called",
        (Edit(f"{CORE}/toolservers/tool.py", "if not self.is_offered(self):", "if not self.name:"),),
    ),
    Mutant(
        "a tool that writes runs without its user's yes",
        f"{TOOL_SERVERS}::test_a_tool_that_asks_first_runs_only_what_was_granted_and_is_sent_once",
        (Edit(f"{CORE}/toolservers/tool.py", "not in context.granted:", "in context.granted:"),),
    ),
    Mutant(
        "a tool that writes is offered beside the pages of others",
        "tests/unit/test_confirming.py::test_it_is_not_offered_where_others_words_are_read_or_nobody_could_confirm_it[web]",
        (Edit(f"{CORE}/agent/opening.py", "not (wishes.wants_web or wishes.passages)", "not wishes.passages"),),
    ),
    Mutant(
        "a tool that writes is offered after outside text was read",
        f"{CONFIRMED}::test_a_hundred_hostile_texts_cause_no_call_to_be_asked_for",
        (Edit(f"{CORE}/agent/calls.py", "self.toolbox.staying().reading()", "self.toolbox.staying()"),),
    ),
    Mutant(
        "confirmations that race both run the call",
        f"{CONFIRMED}::test_of_confirmations_that_race_in_two_processes_one_runs_the_call",
        (Edit(f"{CORE}/agent/confirming/desk.py", "if kept.state is not before:", "if not kept.id:"),),
    ),
    Mutant(
        "calls leave the cluster after outside text was read",
        f"{LOOP}::test_no_call_leaves_the_cluster_once_outside_text_was_read",
        (Edit(f"{CORE}/agent/calls.py", "self.toolbox = self.toolbox.staying()", "self.toolbox.staying()"),),
    ),
    Mutant(
        "a newcomer is served before one that comes back from its tools",
        "tests/unit/test_slot_aside.py::test_nobody_is_served_from_the_line_while_one_waits_to_come_back",
        (
            Edit(
                f"{CORE}/admission.py",
                "while self._has_room and (back := self._slots.first_back()) is not None:",
                "while self._has_room and not self._waiting and (back := self._slots.first_back()) is not None:",
            ),
        ),
    ),
    Mutant(
        "the slot is kept while tools run",
        "tests/unit/test_slot_aside.py::test_somebody_else_is_answered_while_a_tool_runs_and_nobody_new_goes_first",
        (
            Edit(
                f"{CORE}/waiting/ticket.py",
                "if self.phase is Phase.RUNNING and not self._generations:",
                "if not self.phase:",
            ),
        ),
    ),
    Mutant(
        "what was decided stays in front of the answer",
        f"{DECISION}::test_an_answer_behind_nothing_is_the_answer_without_a_decision",
        (
            Edit(
                f"{LLM}/engine/batching/scheduler.py",
                "self.residents.shorten(sequence, kept)",
                "self.residents.shorten(sequence, kept + 1)",
            ),
        ),
    ),
    Mutant(
        "the row that begins the answer is taken for computed",
        f"{DECISION}::test_what_was_decided_before_does_not_hide_the_row_that_begins_the_answer",
        (
            Edit(
                f"{LLM}/engine/batching/generation.py",
                "is_open = self.decision is not None and self.decision.first is None",
                "is_open = False",
            ),
        ),
    ),
    Mutant(
        "a call that may have run is made again",
        f"{MCP}::test_a_server_that_dies_in_a_call_fails_the_call_and_is_found_again",
        (Edit(f"{ADAPTERS}/mcp/answers.py", "in (wire.NOT_DELIVERED, wire.GONE)", "in _UNREACHABLE"),),
    ),
    Mutant(
        "a result of any size is read",
        f"{MCP}::test_a_result_that_is_too_large_is_not_read_and_the_session_goes_on",
        (Edit(f"{ADAPTERS}/mcp/wire.py", "if len(body) > limit_bytes:", "if len(body) > 2**40:"),),
    ),
    # ---- rules of style, and segments for voices (ADR 0026)
    Mutant(
        "an answer is made a third time",
        f"{STYLED}::test_an_engine_that_dies_makes_no_third_attempt",
        (Edit(f"{CORE}/style/source.py", "        self._has_retried = True\n", ""),),
    ),
    Mutant(
        "what nobody saw is billed",
        f"{STYLED}::test_what_was_made_again_is_billed_once_and_the_first_is_ours",
        (Edit(f"{CORE}/style/source.py", "tokens = self._stage.spending.forgive()", "tokens = 0"),),
    ),
    Mutant(
        "a stream shows a first sentence in another language",
        f"{STYLIST}::test_an_answer_that_begins_wrong_is_refused_before_anything_is_shown",
        (Edit(f"{CORE}/style/stylist.py", "if self._may_refuse and self._is_wrong(told):", "if False:"),),
    ),
    Mutant(
        "an ending is put behind the marks",
        f"{STYLIST}::test_an_edit_brings_an_answer_to_its_rules",
        (
            Edit(
                f"{CORE}/style/stylist.py",
                "return sentence[:end] + suffix.any[0] + sentence[end:]",
                "return sentence + suffix.any[0]",
            ),
        ),
    ),
    Mutant(
        "the model goes on behind the last sentence that is shown",
        f"{STYLED}::test_an_answer_is_stopped_where_nothing_more_may_be_shown",
        (Edit(f"{CORE}/style/source.py", "(stylist.state is State.ENOUGH and self._may_stop)", "False"),),
    ),
    Mutant(
        "a segment is longer than it may be",
        f"{SPEECH}::test_no_segment_is_empty_or_longer_than_it_may_be",
        (Edit(f"{CORE}/speech/segments.py", "if size > speech.max_chars)", "if size > speech.max_chars + 1)"),),
    ),
    Mutant(
        "what a model writes is markup for the voice",
        f"{SPEECH}::test_what_a_model_writes_is_never_markup",
        (Edit(f"{CORE}/speech/segments.py", "{escape(text)}", "{text}"),),
    ),
    # ---- characters (ADR 0022)
    Mutant(
        "a bomb in an archive is unpacked whole",
        f"{CHARACTERS}::test_no_trap_is_more_than_refused",
        (
            Edit(
                f"{ADAPTERS}/characters/charx.py",
                "unpacking.decompress(packed, MAX_BYTES + 1)",
                "unpacking.decompress(packed)",
            ),
            Edit(f"{ADAPTERS}/characters/charx.py", "if len(text) > MAX_BYTES:", "if len(text) > 2**40:"),
        ),
    ),
    Mutant(
        "an edit changes conversations that began before",
        f"{CHARACTERS}::test_a_conversation_keeps_the_revision_that_it_began_with",
        (Edit(f"{CORE}/characters/casting.py", "revision = wanted.revision or pinned", "revision = wanted.revision"),),
    ),
    Mutant(
        "characters are everybody's",
        f"{CHARACTERS}::test_scopes_and_tenants_hold",
        (Edit(f"{CORE}/characters/casting.py", "self.store.find(tenant, name", 'self.store.find("team-a", name'),),
    ),
    Mutant(
        "a user's name stands in what all users share",
        f"{CARDS}::test_names_of_users_come_late_and_the_stable_part_is_shared",
        (
            Edit(
                f"{CORE}/characters/role.py",
                'return {"character_name": persona.character.display_name, "context": persona.who,',
                'return {"character_name": self.user_name, "context": persona.who,',
            ),
        ),
    ),
    Mutant(
        "what a macro brings is looked at again",
        f"{MACROS}::test_what_a_macro_brings_is_not_looked_at_again",
        (
            Edit(
                f"{CORE}/characters/macros.py",
                '        return "".join(made)',
                '        return _NAME.sub(self.char, "".join(made))',
            ),
        ),
    ),
    Mutant(
        "an import loses what nobody here reads",
        f"{CHARACTERS}::test_fields_that_nobody_reads_survive_every_version",
        (
            Edit(
                f"{CORE}/characters/cards/writing.py", "**_V2_FIELDS, **more, **data}", "**data, **_V2_FIELDS, **more}"
            ),
        ),
    ),
    Mutant(
        "examples stay and history goes",
        f"{CHARACTERS}::test_examples_go_before_history_does",
        (Edit(f"{CORE}/characters/fitting.py", "may_shorten=False", "may_shorten=True"),),
    ),
    # ---- use and prices (ADR 0021)
    Mutant(
        "a reservation of money forgets the price of long prompts",
        f"{PRICES}::test_no_answer_within_the_bound_costs_more_and_all_are_exact",
        (Edit(f"{USE}/price_rows.py", "yield self.long.rates, prompt_tokens", "pass"),),
    ),
    Mutant(
        "cached tokens are paid twice",
        f"{PRICES}::test_costs_equal_a_calculation_by_hand",
        (Edit(f"{USE}/prices.py", "(prompt - cached) * rates.input", "prompt * rates.input"),),
    ),
    Mutant(
        "an answer that its client cut is free",
        "tests/unit/test_usage_meter.py::test_an_answer_that_is_cut_is_exact_where_the_backend_told_its_prompt",
        (Edit(f"{CORE}/limits/metered.py", "            generation.cut()\n", ""),),
    ),
    Mutant(
        "a batch that failed is forgotten",
        "tests/unit/test_usage_recorder.py::test_a_batch_that_failed_is_given_again_as_it_was",
        (Edit(f"{CORE}/usage/recorder.py", "                continue\n", "                pass\n"),),
    ),
    Mutant(
        "a row that comes twice is added to its day twice",
        f"{USAGE_STORE}::test_rows_that_come_twice_count_once[sqlite]",
        (
            Edit(
                f"{ADAPTERS}/usage/sqlite.py",
                "if connection.execute(_INSERT, values).rowcount:",
                "if connection.execute(_INSERT, values):",
            ),
        ),
    ),
    Mutant(
        "a batch that was counted before a writer died is counted again",
        f"{USAGE_STORE}::test_rows_of_a_writer_that_died_between_two_steps_are_counted_once[_mark-pymongo]",
        (
            Edit(
                f"{ADAPTERS}/usage/mongo.py",
                'f"applied.{writer}": {"$ne": int(number)}',
                'f"applied.{writer}": {"$ne": -1}',
            ),
        ),
    ),
    Mutant(
        "any key sees the use of its whole tenant",
        "tests/integration/test_usage_http.py::test_a_key_without_the_scope_sees_itself_alone_and_no_tenant_sees_another",
        (Edit(f"{API}/accounts/usage_report.py", "if Scope.USAGE_READ in rights.scopes:", "if rights.scopes:"),),
    ),
    Mutant(
        "a client that left leaves no row",
        "tests/integration/test_usage_http.py::test_a_cut_answer_costs_what_was_made_of_it",
        (
            Edit(
                f"{API}/wire/streams.py",
                "note_use(scope, answer, self._error, seconds)",
                "self._error and note_use(scope, answer, self._error, seconds)",
            ),
        ),
    ),
    # ---- limits of keys (ADR 0016)
    Mutant(
        "what a failure of ours reserved is kept",
        f"{LIMITS}::test_a_failure_of_ours_costs_nothing[failure1]",
        (
            Edit(f"{CORE}/limits/hold.py", "self._is_free = not self._is_refused", "self._is_free = False"),
            Edit(f"{CORE}/limits/hold.py", "if self.is_billed and self._heard_tokens:", "if self._heard_tokens:"),
        ),
    ),
    Mutant(
        "an answer is settled twice",
        f"{ACCOUNT_TEST}::test_what_was_really_used_is_charged_once_however_often_it_is_told",
        (Edit(ACCOUNT, "held = self.account.held.pop(name)", "held = self.account.held[name]"),),
    ),
    Mutant(
        "a reservation that nobody settles never lapses",
        f"{ACCOUNT_TEST}::test_what_nobody_settles_lapses_and_is_charged_all_the_same_where_it_ends_late",
        (Edit(ACCOUNT, "if held.lapses_at <= now]", "if held.lapses_at <= 0]"),),
    ),
    Mutant(
        "a clock that runs back refills a quota",
        f"{ACCOUNT_TEST}::test_a_clock_that_runs_back_refills_nothing_and_locks_nobody_out[-86400.0]",
        (Edit(ACCOUNT, "if window[0] < number:", "if window[0] != number:"),),
    ),
    Mutant(
        "a rotation refills the quota",
        f"{LIMITS}::test_a_rotation_refills_nothing",
        (Edit(f"{CORE}/accounts/issue.py", "account=limits.account or old.id", 'account=""'),),
    ),
    Mutant(
        "another replica's change of an account is overwritten",
        "tests/integration/test_limits_store.py::test_replicas_that_take_turns_see_what_the_other_wrote[pymongo]",
        (
            Edit(
                f"{ADAPTERS}/limits/mongo.py",
                '{"_id": account, "version": before.version}, changed',
                '{"_id": account}, changed',
            ),
        ),
    ),
    Mutant(
        "without the store everything is granted",
        f"{LIMITS}::test_without_the_store_each_replica_grants_its_share[is_away]",
        (
            Edit(
                f"{CORE}/limits/counters.py",
                "return limited.limits.share(self._policy.replicas)",
                "return limited.limits",
            ),
        ),
    ),
    Mutant(
        "what a narrow limit gave is kept where a wider one refuses",
        f"{TENANTS}::test_user_key_and_tenant_are_limited_at_once_and_a_refusal_takes_from_nobody",
        (Edit(f"{CORE}/limits/limiter.py", "None, 0) for entry in taken)", "None, 0) for entry in taken[:0])"),),
    ),
    Mutant(
        "a limit on trial refuses",
        "tests/unit/test_limits_shadow.py::test_what_would_be_refused_is_counted_and_passes",
        (
            Edit(
                f"{CORE}/limits/limiter.py",
                'self._telemetry.limit_decided(wanted.service, name, "shadow_refused")',
                "raise self._refusal(wanted, ask, entry, outcome, quota)",
            ),
        ),
    ),
    Mutant(
        "a tenant's weight is not looked at",
        "tests/unit/test_fairness.py::test_a_tenants_turn_is_as_long_as_its_weight_and_its_users_take_turns_within",
        (Edit(f"{CORE}/waiting/line.py", "(tenant.left or tenant.weight) - 1 if tenant.waiting else 0", "0"),),
    ),
    Mutant(
        "a request is known again after its caller got other limits",
        "tests/integration/test_limits_spent.py::test_who_gets_another_limit_is_asked_anew",
        (Edit(f"{API}/accounts/spent.py", "hash((limited, policy))", "0"),),
    ),
    Mutant(
        "what a header says makes no other request",
        "tests/integration/test_limits_spent.py::test_a_request_that_a_shorter_one_would_pass_is_known_again[/Llama]",
        (Edit(f"{API}/accounts/spent.py", "limits, told)", "limits)"),),
    ),
    Mutant(
        "a refusal is repeated although something came back",
        "tests/unit/test_limits_refusals.py::test_what_comes_back_is_asked_for_at_once",
        (Edit(f"{CORE}/limits/refusals.py", "kept.came_back != account.came_back", "False"),),
    ),
    Mutant(
        "who hammers is refused as fast as he asks",
        "tests/integration/test_limits_spent.py::test_refusals_wait_for_their_turn_and_nobody_else_does[again]",
        (Edit(f"{API}/accounts/spent.py", "await asyncio.sleep(limiter.refusals.turn(error, seconds))", "pass"),),
    ),
    Mutant(
        "a lease is not renewed",
        f"{TENANTS}::test_a_replica_that_dies_gives_its_places_back_within_half_a_minute",
        (Edit(f"{CORE}/limits/ledger.py", "self._now() + LEASE_SECONDS", "self._now()"),),
    ),
    Mutant(
        "money that somebody may have billed is given back when a process dies",
        "tests/unit/test_limits_interleavings.py::test_random_lives_equal_a_plain_list",
        (Edit(ACCOUNT, "book._end(name, 0, book.account.held[name].kept_micro_usd)", "book._end(name, 0, 0)"),),
    ),
    Mutant(
        "a further round of an answer is not reserved for",
        "tests/unit/test_limits_rounds.py::test_a_model_that_calls_for_ever_and_uses_all_it_may_passes_no_limit",
        (Edit(f"{CORE}/limits/hold.py", "if tokens > self._reserved[0] or", "if tokens < 0 or"),),
    ),
    Mutant(
        "a reservation may cost less than the answer",
        f"{TENANTS}::test_money_is_charged_as_the_provider_told_and_a_budget_is_never_passed",
        (Edit(f"{CORE}/limits/asks.py", "return self.spent_micro_usd + self.micro_usd(answer_tokens)", "return 1"),),
    ),
    # ---- documents (ADR 0014)
    Mutant(
        "a worker that lost its document goes on writing",
        f"{DOCUMENT_STORE}::test_lost_worker_is_followed_by_one_that_goes_on",
        (
            Edit(
                f"{DOCUMENTS}/sqlite_leases.py", "document_id = ? AND lease = ? AND", "document_id = ? AND ? != '' AND"
            ),
        ),
    ),
    Mutant(
        "erased words stay in the index's file",
        f"{DOCUMENT_STORE}::test_erased_text_is_kept_nowhere[sqlite-False]",
        (Edit(f"{DOCUMENTS}/sqlite_documents.py", 'index.merge(connection, row["id"])', "pass"),),
    ),
    Mutant(
        "a worker that lost its lease writes on, in MongoDB",
        f"{MONGO_DOCUMENTS}::test_worker_that_slept_through_its_lease_changes_nothing[1-cancelled-wakes]",
        (
            Edit(
                f"{DOCUMENTS}/mongo/jobs.py",
                'expected = {**_held(job), "chunks_done": row["chunks_done"]}',
                'expected = {"_id": job.document_id}',
            ),
        ),
    ),
    Mutant(
        "what a dead process left in MongoDB stays",
        f"{MONGO_DOCUMENTS}::test_process_that_dies_at_any_call_loses_and_doubles_nothing",
        (Edit(f"{DOCUMENTS}/mongo/sweeping.py", "for one in due:", "for one in due[:0]:"),),
    ),
    Mutant(
        "two processes take more of one owner than may be",
        f"{MONGO_DOCUMENTS}::test_many_processes_never_hold_more_of_one_owner_than_may_be",
        (Edit(f"{DOCUMENTS}/mongo/jobs.py", 'if not await take_turn(tables, row["owner"], turn):', "if False:"),),
    ),
    Mutant(
        "a Qdrant that repeats itself shows a passage twice",
        f"{QDRANT_DOCUMENTS}::test_what_a_lying_server_answers_is_shown_to_nobody_else",
        (
            Edit(
                f"{DOCUMENTS}/qdrant/index.py",
                "setdefault((document_id, number),",
                "setdefault((document_id, len(hits)),",
            ),
        ),
    ),
    Mutant(
        "a document is shown whose points a Qdrant lost",
        f"{QDRANT_DOCUMENTS}::test_points_that_were_acknowledged_and_lost_hide_no_part_of_a_document",
        (Edit(f"{DOCUMENTS}/qdrant/index.py", '(name, named) != end - run["first"]', "(name, named) < 0"),),
    ),
    Mutant(
        "a Qdrant weighs words by how rare they are among everybody's",
        f"{DOCUMENT_STORE}::test_what_others_keep_does_not_change_a_score[qdrant]",
        (Edit(f"{DOCUMENTS}/qdrant/index.py", 'body["params"] = {"idf": {"corpus": within}}', "pass"),),
    ),
    Mutant(
        "points of erased documents stay in a Qdrant",
        f"{QDRANT_DOCUMENTS}::test_erasure_that_died_is_finished_within_a_minute[erase]",
        (Edit(f"{DOCUMENTS}/qdrant/index.py", "await self._remove(name, points.unnamed(document_id, named))", "pass"),),
    ),
    Mutant(
        "a Qdrant that lost its disk is believed to have everything",
        f"{QDRANT_DOCUMENTS}::test_lost_collections_are_made_anew_from_the_texts",
        (Edit(f"{DOCUMENTS}/qdrant/places.py", '{"number": row["number"] + 1, "made": False}', '{"made": False}'),),
    ),
    Mutant(
        "a document is found before it is complete",
        f"{DOCUMENT_STORE}::test_document_is_found_by_its_owner_when_it_is_complete",
        (Edit(f"{DOCUMENTS}/sqlite_index.py", " AND d.state IN ('embedding', 'completed')", ""),),
    ),
    Mutant(
        "vectors of the model before go while some documents have no others",
        f"{DOCUMENT_VECTORS}::test_old_vectors_serve_until_every_document_has_new_ones[sqlite]",
        (Edit(f"{DOCUMENTS}/sqlite_vectors.py", "space <> :space AND document IN", "space <> :space OR document IN"),),
    ),
    Mutant(
        "a question is asked in a space that half of the documents have",
        "tests/unit/test_retrieval_fusion.py::test_question_is_asked_in_one_space_that_has_all_documents",
        (Edit(f"{CORE}/retrieval/search.py", "== coverage.passages", "> 0"),),
    ),
    Mutant(
        "a question that must stay here is sent to an embedding API",
        "tests/integration/test_retrieval_hybrid.py::test_question_that_must_stay_here_is_not_sent_away",
        (Edit(f"{CORE}/retrieval/search.py", "if search.local_only and source.is_remote:", "if False:"),),
    ),
    Mutant(
        "rows of texts are regrouped before they are pooled",
        "tests/integration/test_embedding_engine.py::test_vector_is_that_of_the_text_alone_and_of_length_one[mean]",
        (
            Edit(
                "services/chatbot/llm/engine/embedding/context.py",
                "        params.kv_unified = True\n",
                "        params.n_ctx *= sizes.texts\n",
            ),
        ),
    ),
    Mutant(
        "a mark that names no source stays in the answer",
        "tests/unit/test_citations.py::test_mark_without_a_source_is_removed",
        (Edit(f"{CORE}/retrieval/citations.py", "if 1 <= number <= sources", "if number <= sources"),),
    ),
    Mutant(
        "a passage crosses a heading",
        "tests/unit/test_chunking.py::test_passage_knows_the_headings_above_it",
        (Edit(f"{CORE}/retrieval/chunking.py", "while path and path[-1][0] >= block.level:", "while False:"),),
    ),
    Mutant(
        "a zip may unpack to anything",
        "tests/unit/test_document_readers.py::test_unreadable_file_says_why[zip bomb]",
        (
            Edit(
                f"{DOCUMENTS}/readers/office_zip.py",
                "if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or is_bomb:",
                "if len(entries) > MAX_ENTRIES:",
            ),
        ),
    ),
    # ---- our own tools (ADR 0012)
    Mutant(
        "a model may call in every round",
        f"{LOOP}::test_the_last_round_cannot_call",
        (Edit(f"{CORE}/agent/loop.py", "self._rounds >= self._toolbox.bounds.rounds - 1", "self._rounds > 99"),),
    ),
    Mutant(
        "the same call is run again",
        f"{LOOP}::test_the_same_call_again_gets_the_stored_result_and_turns_tools_off",
        (Edit(f"{CORE}/agent/calls.py", "if key not in self._known:", "if key:"),),
    ),
    Mutant(
        "tools go on when their reader has left",
        f"{LOOP}::test_whoever_leaves_cancels_the_tools",
        (Edit(f"{CORE}/agent/calls.py", "                task.cancel()\n", "                pass\n"),),
    ),
    Mutant(
        "a power is taken before it is bounded",
        "tests/unit/test_tool_calculate.py::test_hostile_expressions_end_at_once_with_a_word",
        (Edit(f"{CORE}/tools/exact_numbers.py", "if abs(top - bottom) > MAX_BITS - 2:", "if not top:"),),
    ),
    Mutant(
        "what nobody sees in a result reaches the model",
        "tests/unit/test_agent_containment.py::test_any_text_is_shown_as_json_within_its_bound_and_without_what_nobody_sees",
        (Edit(f"{CORE}/agent/containment.py", "visible(value[:_MAX_CHARACTERS])", "value[:_MAX_CHARACTERS]"),),
    ),
    # ---- messages of sessions
    Mutant(
        "a key that may chat reads documents by a message",
        f"{SESSIONS}::test_a_key_that_may_not_read_documents_gets_none_by_a_message",
        (Edit(f"{API}/sessions/routes.py", "    check_documents(request)\n", ""),),
    ),
    Mutant(
        "documents leave the house by the fallback",
        f"{SESSIONS}::test_documents_never_leave_the_house_by_the_fallback",
        (Edit(f"{API}/sessions/routes.py", " and asked.documents is None,", ","),),
    ),
    Mutant(
        "an answer of the user's own key is billed to the tenant",
        f"{OWN_KEYS}::test_the_users_own_money_is_not_ours",
        (Edit(f"{CORE}/limits/hold.py", " and not is_on_own_key(request.upstream_key):", ":"),),
    ),
    Mutant(
        "where the user's own key is limited, ours pays",
        f"{OWN_KEYS}::test_other_trouble_of_the_users_key_never_moves_the_cost_to_us",
        (
            Edit(
                "services/chatbot/llm/openai/generator.py",
                "if fault.kind is FaultKind.KEY_REFUSED and answer.own",
                "if fault.kind in (FaultKind.KEY_REFUSED, FaultKind.OVERLOADED) and answer.own",
            ),
        ),
    ),
    Mutant(
        "tools that chatbot_tools names ask outside for those who stay",
        "tests/integration/test_v1_own_tools.py::test_what_stays_in_the_house_calls_nothing_outside",
        (
            Edit(
                f"{CORE}/agent/opening.py",
                "return toolbox.staying() if question.local_only else toolbox",
                "return toolbox",
            ),
        ),
    ),
    Mutant(
        "a mark of a stream that names no source is shown",
        "tests/unit/test_cited_stream.py::test_marks_that_lead_nowhere_are_left_out",
        (
            Edit(
                f"{CORE}/retrieval/answer_text.py", "cleaned, cited = checked(cleaned, self._sources)", "cited = set()"
            ),
        ),
    ),
    Mutant(
        "a query of the model leaves the house as it wrote it",
        "tests/integration/test_outside_tools.py"
        "::test_a_model_searches_by_itself_with_the_users_words_and_reads_on_by_number",
        (Edit(f"{CORE}/web/search_tool.py", "if context.said:", "if False:"),),
    ),
    Mutant(
        "what one tenant looked for is kept for another",
        "tests/integration/test_web_search.py::test_what_was_found_is_kept_for_the_tenant_and_a_page_for_everybody",
        (Edit(f"{CORE}/web/search_tool.py", "context.caller.tenant,", '"",'),),
    ),
    Mutant(
        "a failure of the web is kept as long as an answer",
        "tests/unit/test_kept.py::test_a_failure_is_kept_for_a_short_while",
        (Edit(f"{CORE}/web/kept.py", "exc, self._policy.failure_seconds", "exc, self._policy.seconds"),),
    ),
    Mutant(
        "numbers of a forecast have no bounds",
        "tests/integration/test_outside_tools.py::test_a_forecast_that_is_none_is_a_failure_in_time",
        (Edit("services/chatbot/adapters/web/open_meteo.py", "or not least <= value <= most", ""),),
    ),
    Mutant(
        "a link that a document only begins is said",
        "tests/integration/test_document_injection.py::test_nothing_comes_of_a_hundred_hostile_passages",
        (Edit(f"{CORE}/retrieval/answer_text.py", "if _literal(link) in self.literal:", "if self.literal:"),),
    ),
    Mutant(
        "a tool that asks outside may be called beside a user's documents",
        "tests/unit/test_wished.py::test_beside_a_users_documents_no_tool_can_be_called_that_may_ask_outside",
        (Edit(f"{CORE}/agent/opening.py", "toolbox = toolbox.only(LOCAL_TOOLS)", "pass"),),
    ),
    Mutant(
        "anybody is told what the process runs on",
        "tests/integration/test_http_operations.py::test_info_tells_of_the_machine_to_whoever_may_know",
        (Edit(f"{API}/accounts/decisions.py", "return is_loopback(context.client)", "return True"),),
    ),
    # ---- the waiting line (ADR 0006)
    Mutant(
        "first come first served instead of taking turns",
        "tests/unit/test_fairness.py::test_first_request_of_another_user_starts_after_at_most_one_generation",
        (
            Edit(f"{CORE}/waiting/line.py", "            self.members.move_to_end(name)\n", "            pass\n"),
            Edit(f"{CORE}/waiting/line.py", "            self.members.move_to_end(last)\n", "            pass\n"),
        ),
    ),
    Mutant(
        "no jitter",
        f"{ADMISSION}::test_refused_callers_are_told_later_and_later_times",
        (Edit(f"{CORE}/waiting/promises.py", "* (1 + rng.uniform(0, JITTER))", "* 1"),),
    ),
    Mutant(
        "no hard bound of the line",
        f"{ADMISSION}::test_refuses_when_the_line_is_full_until_a_place_is_predicted",
        (Edit(f"{CORE}/admission.py", "if len(order) > bound:", "if len(order) < 0:"),),
    ),
    Mutant(
        "drain forgets the requests that wait",
        f"{ADMISSION}::test_drain_refuses_newcomers_and_lets_the_admitted_go_on",
        (
            Edit(
                f"{CORE}/admission.py",
                "return self._capacity.open and",
                "return not self._draining and self._capacity.open and",
            ),
        ),
    ),
    Mutant(
        "a lame duck that nobody has asked anything is gone at once",
        f"{DRAIN}::test_a_lame_duck_stays_though_nothing_runs",
        (Edit("services/chatbot/server/serving/serve.py", "await gate.refused()", "await asyncio.sleep(0)"),),
    ),
    # ---- answers and history (ADR 0007)
    Mutant(
        "a repeated turn generates again",
        f"{ANSWER}::test_repeated_turn_gets_the_stored_answer_without_generating",
        (Edit(f"{CORE}/answering/ready.py", "if turn.turn_id == question.turn_id:", "if not turn.turn_id:"),),
    ),
    Mutant(
        "a client that leaves is not cancelled",
        f"{ANSWER}::test_client_that_leaves_frees_everything_at_once",
        (Edit(f"{CORE}/answering/pump.py", "        self._pump.cancel()\n", ""),),
    ),
    Mutant(
        "text is sent twice when the engine died after some of it",
        f"{ANSWER}::test_stream_that_began_ends_with_an_error_when_the_engine_dies",
        (Edit(f"{CORE}/answering/pump.py", "if self._outbox.text_left:", "if not self._texts:"),),
    ),
    Mutant(
        "the fallback takes a conversation that must stay in the house",
        f"{ANSWER}::test_local_conversation_never_leaves_the_house",
        (
            Edit(
                f"{CORE}/answering/answerer.py",
                "may_leave = not past.local_only and not past.unknown and question",
                "may_leave = not past.unknown and question",
            ),
        ),
    ),
    Mutant(
        "no epoch check",
        f"{STORES}::test_turn_begun_before_an_erasure_is_refused[sqlite]",
        (
            Edit(
                f"{ADAPTERS}/sqlite_tables.py",
                'if row["epoch"] != conversation.epoch:',
                'if row["epoch"] < conversation.epoch:',
            ),
        ),
    ),
    Mutant(
        "local_only of one turn is forgotten by the next",
        f"{STORES}::test_local_only_never_becomes_false_again[sqlite]",
        (Edit(f"{ADAPTERS}/sqlite_tables.py", "max(local_only, excluded.local_only)", "excluded.local_only"),),
    ),
    # ---- the engine (ADR 0003, 0008)
    Mutant(
        "user text tokenised with specials",
        "tests/integration/test_engine_text.py::test_control_tokens_are_those_of_the_scaffold",
        (
            Edit(
                f"{LLM}/engine/text/vocabulary.py",
                "        tokens = self._encode(text)\n        if self.control.isdisjoint(tokens):\n",
                "        tokens = self._encode(text)\n        if True:\n",
            ),
            Edit(
                f"{LLM}/engine/text/vocabulary.py",
                "len(data), buffer, size, False, False))\n        if count < 0:",
                "len(data), buffer, size, False, True))\n        if count < 0:",
            ),
        ),
    ),
    Mutant(
        "prefix reuse off by one",
        "tests/integration/test_engine_batching.py::test_answers_in_a_batch_equal_those_alone",
        (
            Edit(
                f"{LLM}/engine/batching/residents.py",
                "length = min(common_prefix(sequence.tokens, tokens), len(tokens) - 1)",
                "length = min(common_prefix(sequence.tokens, tokens) + 1, sequence.length, len(tokens) - 1)",
            ),
        ),
    ),
    Mutant(
        "a stop string is sent to the client",
        f"{SCHEDULER}::test_a_stop_string_ends_the_answer_and_is_no_part_of_it",
        (Edit(f"{LLM}/engine/text/text_out.py", "keep = self._possible_stop()", "keep = 0"),),
    ),
    Mutant(
        "penalties do not see the prompt",
        f"{SCHEDULER}::test_a_repeat_penalty_counts_the_prompt",
        (
            Edit(
                f"{LLM}/engine/sampling/chain.py",
                "            llama_cpp.llama_sampler_accept(self.handle, token)\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "a saved sequence goes behind a beginning that is not there",
        "tests/unit/test_engine_host_cache.py::test_a_state_whose_beginning_is_not_resident_is_of_no_use",
        (
            Edit(
                f"{LLM}/engine/batching/host_cache.py",
                "if cut - WORTH_MOVING > resident or cut >= len(tokens):",
                "if cut >= len(tokens):",
            ),
        ),
    ),
    Mutant(
        "a step that failed leaves the cells of its first graph",
        f"{STREAMS}::test_a_step_that_is_given_up_in_any_of_its_graphs_has_changed_nothing",
        (Edit(f"{LLM}/engine/native/model.py", "        if code != DECODE_OK:\n", "        if code < DECODE_OK:\n"),),
    ),
    Mutant(
        "a stream that is copied is one token longer than what is shared",
        f"{STREAMS}::test_a_burst_with_one_new_prefix_computes_it_once",
        (
            Edit(
                f"{LLM}/engine/batching/streams.py",
                "        target.extend(source.tokens[:kept])\n",
                "        target.extend(source.tokens[: kept - 1])\n",
            ),
        ),
    ),
    Mutant(
        "a prompt leaves a few rows to a step of their own",
        "tests/unit/test_engine_chunks.py::test_no_prompt_leaves_a_few_rows_to_a_step_of_their_own",
        (Edit(f"{LLM}/engine/batching/steps/chunks.py", "return -(-pending // -(-pending // room))", "return room"),),
    ),
    Mutant(
        "quick prompts take all of a step from a document",
        "tests/unit/test_engine_chunks.py::test_the_first_is_always_read_and_nothing_beyond_the_batch",
        (Edit(f"{LLM}/engine/batching/steps/chunks.py", "room // 2 - so_far.rows, most", "room - so_far.rows, most"),),
    ),
    Mutant(
        "a second turn waits behind a document",
        "tests/integration/test_engine_scheduler.py::test_a_second_turn_does_not_wait_behind_a_document",
        (
            Edit(
                f"{LLM}/engine/batching/steps/chunks.py",
                "    quick = _quick(reading)[: _MOST_AT_ONCE - 1]\n",
                "    quick = []\n",
            ),
        ),
    ),
    Mutant(
        "a setting of pieces alike changes nothing",
        "tests/integration/test_engine_tuning.py::test_without_balance_a_prompt_takes_as_much_as_fits_and_a_rest",
        (Edit(f"{LLM}/engine/batching/steps/planner.py", "are_alike=self._may_balance", "are_alike=True"),),
    ),
    Mutant(
        "a setting of turns changes nothing",
        "tests/integration/test_engine_tuning.py::test_without_turns_first_tokens_wait_for_the_prompts_behind_and_the_answers",
        (Edit(f"{LLM}/engine/batching/tuning.py", 'may_take_turns="turns" not in without', "may_take_turns=True"),),
    ),
    Mutant(
        "answers wait as long as prompts come",
        "tests/integration/test_engine_tuning.py::test_answers_go_on_however_many_prompts_come",
        (Edit(f"{LLM}/engine/batching/steps/planner.py", "Round(so_far.rows + n_rows(picked), has_begun)", "so_far"),),
    ),
    Mutant(
        "who comes while a round is read takes the share of the oldest prompt",
        "tests/unit/test_engine_chunks.py::test_whoever_comes_while_a_round_is_read_makes_it_no_longer_and_takes_nothing_from_the_oldest",
        (Edit(f"{LLM}/engine/batching/steps/chunks.py", "is_rest=so_far.has_begun)", "is_rest=so_far.rows > 0)"),),
    ),
    Mutant(
        "cells that a long prompt scans cost nothing",
        "tests/integration/test_engine_tuning.py::test_the_further_a_prompt_is_read_the_smaller_its_pieces",
        (Edit(f"{LLM}/engine/batching/steps/planner.py", "prompt_cells += cells * count", "prompt_cells += 0"),),
    ),
    Mutant(
        "a long prompt shares the graph of the answers",
        "tests/unit/test_engine_streams_order.py::test_a_prompt_beside_answers_is_a_graph_of_its_own",
        (
            Edit(
                f"{LLM}/engine/batching/steps/graphs.py",
                "return [place for graph in reversed(graphs) for place in graph]",
                "return [place for graph in graphs for place in graph]",
            ),
        ),
    ),
    Mutant(
        "tokens that a penalty makes room for are left out",
        "tests/integration/test_engine_chooser.py::test_a_penalty_brings_up_tokens_from_below_all_that_it_pushes_down",
        (
            Edit(
                f"{LLM}/engine/sampling/chain.py",
                "lowered = len(suppressed) + (last_n if has_penalties else 0)",
                "lowered = len(suppressed)",
            ),
        ),
    ),
    # ---- tools (ADR 0010, 0013)
    Mutant(
        "required tools need not be called",
        "tests/integration/test_v1_tools.py::test_tool_choice_is_obeyed_by_a_model_of_random_weights",
        (Edit(f"{LLM}/grammar/kept.py", "least=int(tools.must_call)", "least=0"),),
    ),
    Mutant(
        "a tool that is not allowed may be called",
        "tests/integration/test_v1_tools.py::test_tool_choice_is_obeyed_by_a_model_of_random_weights",
        (Edit(f"{LLM}/grammar/kept.py", "for each in tools.callable()", "for each in tools.definitions"),),
    ),
    Mutant(
        "a call that was cut is told",
        "tests/integration/test_openai_tools.py::test_a_call_that_was_cut_is_not_told",
        (Edit(f"{LLM}/openai/tools.py", "not (was_cut and is_last", "not (False and is_last"),),
    ),
    Mutant(
        "whoever writes a result knows the mark that ends it",
        "tests/unit/test_dialect_generic.py::test_a_result_cannot_write_the_mark_that_ends_it",
        (Edit(f"{LLM}/dialects/generic.py", 'message.call_id.encode("utf-8", "replace")', "message.role.encode()"),),
    ),
    Mutant(
        "a result ends its block where the end is no token of the vocabulary",
        "tests/unit/test_dialect_hermes.py::test_nobodys_text_ends_a_block_where_its_end_is_no_token",
        (Edit(f"{LLM}/dialects/hermes.py", 'return _ENDS.sub(r"<\\\\/", text)', "return text"),),
    ),
    Mutant(
        "text of a user becomes a token of the tools' dialect",
        "tests/integration/test_dialect_hermes.py::test_what_anybody_writes_becomes_no_token_of_the_dialect",
        (Edit(f"{LLM}/engine/text/tool_tokens.py", "    vocabulary.reserve(found.ids)\n", ""),),
    ),
    Mutant(
        "an answer holds the token that a call begins with",
        "tests/integration/test_dialect_services.py::test_choices_are_obeyed_and_calls_are_valid_of_random_weights",
        (Edit(f"{LLM}/engine/process.py", "never = () if is_call else self._engine.tool_tokens.ids", "never = ()"),),
    ),
    Mutant(
        "an answer in JSON becomes a call",
        "tests/integration/test_dialect_llama31.py::test_an_answer_in_json_is_no_call_and_is_the_one_without_a_decision",
        (
            Edit(
                f"{LLM}/engine/batching/decision.py",
                "self.waits = trigger.settled_by not in self.written",
                "self.waits = False",
            ),
        ),
    ),
    Mutant(
        "Mistral's tools go where old turns are dropped",
        "tests/integration/test_dialect_mistral.py::test_tools_stay_where_old_turns_are_dropped",
        (Edit(f"{LLM}/engine/text/prompt_ids.py", "*groups[1:], tools, tail]", "*groups[1:], tail]"),),
    ),
    Mutant(
        "a result leaves the object that names its call",
        "tests/unit/test_dialect_mistral.py::test_a_result_stays_within_its_object_whatever_it_says",
        (Edit(f"{LLM}/dialects/mistral.py", "json.dumps(text, ensure_ascii=False)", "f'\"{text}\"'"),),
    ),
    Mutant(
        "results of calls made together stand behind the wrong one",
        "tests/unit/test_dialect_llama31.py::test_calls_made_together_are_told_one_by_one_each_with_its_result",
        (Edit(f"{LLM}/dialects/llama31.py", " if result.call_id == call.id)", ")"),),
    ),
    Mutant(
        "whatever is likeliest begins a call",
        "tests/integration/test_engine_decision.py::test_without_its_token_an_answer_is_the_one_without_a_decision",
        (
            Edit(
                f"{LLM}/engine/batching/decision.py",
                "if token == trigger.token and not self.written:",
                "if not self.written:",
            ),
        ),
    ),
    Mutant(
        "tools that are fine alone are taken in any number",
        "tests/unit/test_grammar.py::test_tools_that_are_fine_alone_are_refused_where_all_together_are_too_much",
        (
            Edit(
                f"{LLM}/grammar/schema.py",
                "if self._rules.parts > MAX_PARTS:",
                "if self._rules.parts > 64 * MAX_PARTS:",
            ),
        ),
    ),
    Mutant(
        "an answer ends at every bracket",
        "tests/integration/test_engine_grammar.py::test_what_may_go_on_does_not_end_there",
        (
            Edit(
                f"{LLM}/engine/sampling/grammar.py",
                "return not len(self._probe.allowed(self.handle, self._bytes, self._no_logits))",
                "return True",
            ),
        ),
    ),
    Mutant(
        "a grammar is not asked",
        "tests/integration/test_engine_grammar.py::test_every_answer_is_in_the_language",
        (
            Edit(
                f"{LLM}/engine/sampling/chooser.py",
                "        if chain.grammar is None:\n            return self",
                "        if True:\n            return self",
            ),
        ),
    ),
    Mutant(
        "a control token is written where its text fits",
        "tests/integration/test_engine_grammar.py::test_a_control_token_is_never_written_as_text",
        (
            Edit(
                f"{LLM}/engine/sampling/grammar.py",
                "] = tokens[self._may_be[tokens]]\n",
                "] = tokens\n",
            ),
        ),
    ),
    Mutant(
        "an answer under a grammar need be no text",
        "tests/integration/test_engine_grammar.py::test_the_next_choice_is_taken_where_the_first_is_no_text",
        (
            Edit(
                f"{LLM}/engine/sampling/grammar.py",
                "        except UnicodeDecodeError:\n            return False\n",
                "        except UnicodeDecodeError:\n            self._decoder.reset()\n            return True\n",
            ),
            Edit(f"{LLM}/engine/sampling/grammar.py", 'decoder("utf-8")()', 'decoder("utf-8")("replace")'),
        ),
    ),
    Mutant(
        "a schema promises what the answer is not held to",
        "tests/unit/test_grammar_documents.py::test_what_is_not_kept_is_refused_by_pointer_and_keyword",
        (
            Edit(
                f"{LLM}/grammar/exact.py",
                "        if keyword in _IGNORED and not",
                "        if keyword not in schema and not",
            ),
        ),
    ),
    # ---- the second backend
    Mutant(
        "breaker never opens",
        "tests/unit/test_resilience.py::test_opens_after_failures_in_a_row",
        (
            Edit(
                "services/chatbot/domain/outside/breaker.py",
                "if is_probe or self._failures >= self._policy.failures:",
                "if is_probe:",
            ),
        ),
    ),
    Mutant(
        "retries without a budget",
        "tests/unit/test_resilience.py::test_retries_stay_within_a_tenth_of_requests",
        (Edit(f"{LLM}/resilience.py", "        self._saved -= 1.0\n", ""),),
    ),
    # ---- the edge (ADR 0004)
    Mutant(
        "no cancel on disconnect",
        "tests/integration/test_http_departures.py::test_frees_place_or_slot_within_a_second_when_clients_leave",
        (
            Edit(
                f"{API}/wire/departure.py",
                "    limit.reschedule(asyncio.get_running_loop().time())\n",
                "    limit.reschedule(None)\n",
            ),
        ),
    ),
    Mutant(
        "an error in mid-stream is not told",
        "tests/integration/test_http_chat.py::test_an_error_in_mid_stream_is_an_event_and_no_end",
        (
            Edit(
                f"{API}/wire/streams.py",
                "            yield self._shape.error(exc, context)\n        context.outcome",
                "            yield self._shape.event(Queued(0, 0.0))\n        context.outcome",
            ),
        ),
    ),
    Mutant(
        "the first failure makes its series",
        "tests/unit/test_telemetry.py::test_every_end_of_a_request_has_its_series_from_the_start",
        (
            Edit(
                "services/chatbot/server/observe/label_values.py",
                '"chatbot_requests_total": _request_labels,',
                '"chatbot_requests_total": lambda: product(ROUTES, ("200",), ("ok",)),',
            ),
        ),
    ),
    Mutant(
        "an answer that starts at once says nothing of the line",
        "tests/integration/test_http_chat.py::test_tells_a_waiting_stream_its_place",
        (Edit(f"{CORE}/waiting/ticket.py", "            yield Place(0, 0.0)\n", "            return\n"),),
    ),
    Mutant(
        "the switch of the file to its write-ahead log is not waited for",
        "tests/unit/test_history_sqlite.py::test_another_ones_switch_to_the_write_ahead_log_is_waited_for",
        (Edit(f"{ADAPTERS}/sqlite_file.py", "or time.monotonic() >= deadline:", "or deadline:"),),
    ),
    Mutant(
        "a damaged file is found out after the running model was let go",
        "tests/integration/test_model_swap_refused.py::test_running_answers_go_on_when_the_new_file_cannot_be_one",
        (
            Edit(
                f"{LLM}/supervision/life_cycle.py",
                "        if fault is None and self.child is not None:\n",
                "        if fault is None and self.child is None:\n",
            ),
        ),
    ),
    Mutant(
        "the second backend knows no proxy",
        "tests/integration/test_openai_proxy.py::test_https_goes_through_the_proxy_as_a_tunnel",
        (
            Edit(
                f"{LLM}/openai/connection.py",
                "        follow_redirects=False,\n",
                "        follow_redirects=False,\n        trust_env=False,\n",
            ),
        ),
    ),
    Mutant(
        "Ctrl-C inside an import is an exception",
        "tests/integration/test_local.py::test_ctrl_c_inside_a_callback_of_an_import_is_not_dropped",
        (
            Edit(
                "services/chatbot/local/__init__.py",
                "    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))\n",
                "",
            ),
        ),
    ),
    Mutant(
        "a tool's required arguments may be left out",
        "tests/unit/test_grammar.py::test_required_properties_come_first_and_optional_ones_in_order",
        (
            Edit(
                f"{LLM}/grammar/schema.py",
                '        required = self._list(schema, "required", path)\n',
                '        required = self._list(schema, "required", path)[:0]\n',
            ),
        ),
    ),
    Mutant(
        "a model may write half characters into a call",
        "tests/integration/test_grammar_llama.py::test_random_tokens_under_the_grammar_are_always_a_valid_call",
        (
            Edit(
                f"{LLM}/grammar/rules.py",
                r"[ !#-\x5B\x5D-\uD7FF\uE000-\U0010FFFF] |",
                r"[^\"\\\x00-\x1F] |",
            ),
        ),
    ),
    Mutant(
        "an expired key is let in",
        "tests/unit/test_keys_mounted.py::test_a_key_ends_at_its_moment",
        (
            Edit(
                "services/chatbot/domain/access.py",
                "return self.expires_at is None or now < self.expires_at",
                "return True",
            ),
        ),
    ),
    Mutant(
        "a key that is being read while it is revoked stays valid",
        "tests/unit/test_keys_stored.py::test_a_key_that_is_read_while_it_is_revoked_is_read_again",
        (Edit(f"{CORE}/accounts/stored.py", "self._changes += version != self._version", "self._changes += 0"),),
    ),
    Mutant(
        "a replica looks for revoked keys only now and then",
        "tests/unit/test_keys_stored.py::test_a_revoked_key_is_refused_by_the_other_replica_at_its_next_look",
        (Edit(f"{CORE}/accounts/stored.py", "if version != self._version or began", "if began"),),
    ),
    Mutant(
        "an id that is invented is told by the time it takes",
        "tests/unit/test_keys_stored.py::test_an_unknown_id_is_compared_like_a_known_one",
        (
            Edit(
                f"{CORE}/accounts/stored.py",
                "if not self._peppers.matches(record or self._nobody, key.text) or record is None:",
                "if record is None or not self._peppers.matches(record, key.text):",
            ),
        ),
    ),
    Mutant(
        "a key may do what its scopes do not name",
        "tests/integration/test_keys_http.py::test_every_operation_and_every_scope_is_decided",
        (Edit(f"{API}/accounts/decisions.py", "decision.scope not in rights.scopes", "decision.scope in ()"),),
    ),
    Mutant(
        "a key for the local model gets to the other one by the fallback",
        "tests/integration/test_keys_http.py::test_a_key_for_the_local_model_never_leaves_it",
        (
            Edit(
                f"{API}/accounts/flags.py",
                "key = Privacy(local_only=not principal.rights.allows_backend(Backend.OPENAI))",
                "key = UNBOUND",
            ),
        ),
    ),
    Mutant(
        "a key in a browser speaks for whom it likes",
        "tests/unit/test_keys_users.py::test_a_key_that_asks_for_tokens_opens_with_one_alone_and_for_its_user",
        (Edit(f"{CORE}/accounts/key_check.py", "if not rights.signer:", "if not rights.signer or token is None:"),),
    ),
    Mutant(
        "a token of a user opens another tenant's key",
        "tests/unit/test_keys_users.py::test_forged_tokens_name_nobody",
        (Edit(f"{ADAPTERS}/keys/user_tokens.py", "audience=tenant", 'audience=[tenant, "team-b"]'),),
    ),
    Mutant(
        "a key of an administrator answers questions",
        "tests/integration/test_admin_http.py::test_an_administrator_answers_no_question_and_the_service_has_no_administration",
        (Edit(f"{API}/accounts/decisions.py", "not in rights.scopes or is_admin)", "not in rights.scopes)"),),
    ),
    Mutant(
        "any key administrates keys",
        "tests/integration/test_admin_http.py::test_only_administrators_may",
        (Edit(f"{API}/admin/routes.py", "if Scope.ADMIN not in rights.scopes:", "if not rights.scopes:"),),
    ),
    Mutant(
        "a key bound to a user speaks for others",
        "tests/integration/test_keys_http.py::test_a_key_is_good_only_for_what_it_says",
        (Edit(f"{API}/accounts/users.py", "and claimed != bound", "and claimed == ()"),),
    ),
    Mutant(
        "an error repeats what was sent",
        "tests/integration/test_http_hostile.py::test_every_hostile_body_is_refused_with_a_reason",
        (
            Edit(
                f"{API}/errors.py",
                '        body |= {"field": error.field,',
                '        body |= {"value": getattr(error, "value", ""), "field": error.field,',
            ),
            Edit(
                f"{API}/schemas.py",
                "raise _invalid_input(exc.errors(include_url=False, include_input=False)[0]) from None",
                "wrong = _invalid_input(exc.errors(include_url=False)[0])\n"
                '        wrong.value = str(exc.errors()[0]["input"])\n'
                "        raise wrong from None",
            ),
        ),
    ),
    # ---- policies of tenants (ADR 0018)
    Mutant(
        "a suspended tenant goes on",
        "tests/integration/test_tenants_http.py::test_every_operation_that_asks_for_a_key_is_closed_to_a_suspended_tenant",
        (Edit("services/chatbot/domain/tenants/policy.py", "if self.is_suspended:", "if False:"),),
    ),
    Mutant(
        "a tenant without the key's backend opens all",
        "tests/unit/test_tenants.py::test_a_backend_must_be_allowed_by_key_and_tenant",
        (Edit("services/chatbot/domain/tenants/policy.py", "backends=both or frozenset({NONE})", "backends=both"),),
    ),
    Mutant(
        "a policy that is gone lifts a suspension",
        "tests/unit/test_tenants_file.py::test_a_file_that_is_gone_lifts_nothing",
        (
            Edit(
                f"{ADAPTERS}/tenants/file.py",
                "        self._status = replace(self._status, state=state, message=message)",
                "        self._status = replace(self._status, state=state, message=message, policies=Policies())",
            ),
        ),
    ),
    Mutant(
        "a limit written twice is lifted",
        "tests/unit/test_tenants_file.py::test_a_broken_file_keeps_the_policies_that_were_read_before",
        (Edit(f"{ADAPTERS}/mounted/text.py", "            seen.add(key)\n", ""),),
    ),
    Mutant(
        "an operator that saw older tenants has the last word",
        "tests/unit/test_tenants_keeper.py::test_who_saw_older_tenants_never_has_the_last_word",
        (
            Edit(
                "operator/chatbot_operator/compiled/keeper.py",
                "config_map(self._bundle, namespace, text, version)",
                "config_map(self._bundle, namespace, text)",
            ),
        ),
    ),
    # ---- characters of the cluster (ADR 0023)
    Mutant(
        "a curated character of one tenant is everybody's",
        f"{CURATED}::test_a_character_for_some_tenants_leaves_the_name_to_the_others",
        (
            Edit(
                "services/chatbot/domain/curation/curated.py",
                "return not self.tenants or tenant in self.tenants",
                "return True",
            ),
        ),
    ),
    Mutant(
        "a curated character is changed by whoever has a key",
        f"{CURATED}::test_a_curated_character_is_found_first_and_cannot_be_changed",
        (
            Edit(
                f"{CORE}/characters/curation/shelf.py", "            raise CharacterReadOnly\n", "            return\n"
            ),
        ),
    ),
    Mutant(
        "a conversation loses the revision that it began with",
        f"{CURATED}::test_a_conversation_goes_on_with_the_revision_that_it_began_with",
        (Edit(f"{CORE}/characters/curation/shelf.py", "            self._keep(curated)\n", ""),),
    ),
    Mutant(
        "an entry that is wrong ends a character",
        f"{CURATED}::test_an_entry_that_breaks_stays_as_it_was_and_comes_back_when_it_is_mended",
        (Edit(f"{CORE}/characters/curation/entries.py", 'characters[name] = replace(old, entry="")', "pass"),),
    ),
    Mutant(
        "a changed card counts as served by its object's generation",
        "tests/unit/test_characters_compiled.py::test_a_changed_card_is_served_when_pods_have_that_card_and_not_by_its_generation",
        (Edit("operator/chatbot_operator/compiled/plan.py", " and served.card == source.card_digest", ""),),
    ),
    Mutant(
        "a pod is told of the same file at every look",
        "tests/unit/test_tenants_keeper.py::test_pods_that_are_behind_are_told_of_a_file_once_so_that_the_kubelet_comes",
        (Edit("operator/chatbot_operator/compiled/hastening.py", " and self._told(pod) != digest", ""),),
    ),
    Mutant(
        "a card that vanishes takes its character along",
        "tests/unit/test_characters_compiled.py::test_a_card_that_is_not_there_or_none_is_named_and_what_was_compiled_holds",
        (
            Edit(
                "operator/chatbot_operator/compiled/bundle.py",
                'old.get(source.uid, "") if source.problem',
                '"" if source.problem',
            ),
        ),
    ),
    Mutant(
        "a tenant of another life counts as served",
        "tests/unit/test_tenants_plan.py::test_ready_is_what_every_ready_pod_serves",
        (
            Edit(
                "operator/chatbot_operator/compiled/plan.py",
                "served = page.objects.get(source.uid)\n        if served is not None and",
                "served = next(iter(page.objects.values()), None)\n        if served is not None and",
            ),
        ),
    ),
    Mutant(
        "users get each other's kept answers",
        f"{KEPT}::test_no_user_and_no_tenant_ever_gets_anothers_answer",
        (Edit(f"{CORE}/kept_answers/equal.py", "None if for_all_users else caller.user", "None"),),
    ),
    Mutant(
        "another model answers with what the one before it said",
        f"{KEPT}::test_a_new_prompt_and_a_new_model_have_other_answers",
        (Edit(f"{CORE}/kept_answers/equal.py", "self.model, request.dialogue", "request.dialogue"),),
    ),
    Mutant(
        "whoever asked first takes the answer with him",
        f"{KEPT}::test_an_answer_goes_on_for_the_others_when_whoever_asked_first_leaves",
        (Edit(f"{CORE}/kept_answers/flights.py", "return self._waiting > 0", "return False"),),
    ),
    Mutant(
        "an answer that was under way is kept after an erasure",
        f"{KEPT}::test_an_erasure_forgets_also_what_is_being_made",
        (Edit(f"{CORE}/kept_answers/keeper.py", "if not flight.is_forgotten and self._is_of_now(kept):", "if True:"),),
    ),
    Mutant(
        "Redis takes what another replica has changed since",
        "tests/integration/test_limits_store.py::test_replicas_that_take_turns_see_what_the_other_wrote[redis]",
        (Edit(f"{ADAPTERS}/limits/redis.py", "if version ~= ARGV[1] then return 0 end", ""),),
    ),
    Mutant(
        "accounts in Redis live for ever",
        "tests/integration/test_limits_store.py::test_accounts_that_nobody_used_for_two_months_are_removed[redis]",
        (Edit(f"{ADAPTERS}/limits/redis.py", "ARGV[2], 'EX', ARGV[3])", "ARGV[2])"),),
    ),
    Mutant(
        "a turn in Redis comes back after an erasure",
        "tests/integration/test_conversation_store.py::test_erasure_beats_a_first_turn_that_still_runs[redis]",
        (Edit(f"{ADAPTERS}/redis/scripts.py", "if epoch ~= head[1] then return {'erased'} end", ""),),
    ),
    Mutant(
        "a repeated turn is in Redis twice",
        "tests/integration/test_conversation_store.py::test_repeated_turn_returns_the_stored_one_and_writes_nothing[redis]",
        (Edit(f"{ADAPTERS}/redis/scripts.py", "if place then return", "if false then return"),),
    ),
    Mutant(
        "conversations in Redis live for ever",
        f"{REDIS}::test_a_conversation_ends_by_itself_and_each_turn_puts_its_end_off",
        (
            Edit(
                f"{ADAPTERS}/redis/scripts.py",
                "redis.call('PEXPIRE', KEYS[1], life)\nreturn {'stored'}",
                "return {'stored'}",
            ),
        ),
    ),
    Mutant(
        "names of conversations in Redis outlive their user's erasure",
        f"{REDIS}::test_everything_of_one_user_goes_and_nothing_of_the_other",
        (Edit(f"{ADAPTERS}/redis/scripts.py", "redis.call('ZREM', names, member)", ""),),
    ),
    Mutant(
        "retention takes a conversation that goes on",
        f"{REDIS}::test_conversations_go_when_they_were_kept_long_enough_tenant_by_tenant",
        (Edit(f"{ADAPTERS}/redis/scripts.py", "tonumber(score) < tonumber(ARGV[2])", "true"),),
    ),
    Mutant(
        "a Redis that may evict is taken",
        "tests/integration/test_history_faults_redis.py::test_a_server_that_may_evict_is_refused_until_it_is_mended",
        (
            Edit(
                f"{ADAPTERS}/redis/conversations.py", "may_evict = policy != _NEVER_EVICTS and", "may_evict = False and"
            ),
        ),
    ),
    Mutant(
        "a summary keeps its slot when a person comes",
        "tests/unit/test_spare_slots.py::test_a_person_takes_the_slot_and_is_never_counted_behind_the_work",
        (Edit(f"{CORE}/waiting/spare.py", "seat.reschedule(0.0)  # the loop cancels what is done in it", "pass"),),
    ),
    Mutant(
        "the later of two summaries is kept",
        f"{STORES}::test_of_summaries_made_at_once_one_is_kept[sqlite]",
        (Edit(f"{ADAPTERS}/memory/sqlite.py", "ELSE '' END = :before", "ELSE '' END != :before || :now"),),
    ),
    Mutant(
        "a summary outlives the erasure of its conversation",
        f"{SUMMARIES}::test_an_erasure_beats_a_summary_that_is_being_made[and begun again]",
        (
            Edit(f"{ADAPTERS}/memory/sqlite.py", "AND db_id = :db_id AND epoch = :epoch AND", "AND db_id = :db_id AND"),
            Edit(
                f"{ADAPTERS}/memory/sqlite.py",
                "AND EXISTS (SELECT 1 FROM turns WHERE conversation = conversations.id AND turn_id = :last",
                "AND EXISTS (SELECT 1 FROM turns WHERE conversation = conversations.id OR turn_id = :last",
            ),
        ),
    ),
    Mutant(
        "a summary of local words is made elsewhere",
        f"{SUMMARIES}::test_no_summary_leaves_the_house_that_its_words_may_not_leave[False-False]",
        (Edit(f"{CORE}/memory/summarising.py", "backend = backend if by_answering else Backend.LLAMA", ""),),
    ),
    Mutant(
        "a summary that is longer than its turns is kept",
        f"{SUMMARIES}::test_a_model_that_cannot_is_asked_three_times_and_changes_nothing[too_long]",
        (Edit(f"{CORE}/memory/summarised.py", ">= min(MAX_SUMMARY_BYTES, plan.size_bytes)", ">= 1 << 30"),),
    ),
    Mutant(
        "no memory is told the summary",
        f"{SUMMARIES}::test_who_does_not_recall_all_makes_none_and_is_told_none[no memory]",
        (
            Edit(
                f"{CORE}/answering/past.py",
                "or wishes.history is not None or wishes.recalled_turns is not None",
                "or wishes.history is not None",
            ),
        ),
    ),
    Mutant(
        "a conversation that goes on survives the erasure of the one before",
        f"{CONTINUED}::test_an_erasure_meanwhile_leaves_nothing_of_it_in_the_new_one",
        (
            Edit(
                f"{CORE}/memory/continuing.py",
                "if now.epoch != read.epoch or not now.turns:",
                "if not now.turns and False:",
            ),
        ),
    ),
    Mutant(
        "a call that waits to be confirmed can be confirmed twice",
        f"{CONTINUED}::test_one_that_was_interrupted_anywhere_is_completed_by_the_same_call[1]",
        (Edit(f"{CORE}/memory/continuing.py", 'tuple(replace(turn, proposals="") for turn in turns)', "tuple(turns)"),),
    ),
)


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """A copy to break, without caches and builds."""
    with tempfile.TemporaryDirectory(prefix="chatbot-mutants-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        yield copy


def outcome_of(copy: Path, tests: list[str]) -> tuple[str, str]:
    """Run tests of a copy, importing the copy's packages: `passed`, `failed` or `broken`, and the first line blamed."""
    paths = os.pathsep.join(str(copy / place) for place in ("services", "operator"))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    run = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    output = run.stdout.decode(errors="replace")
    blamed = next((line[1:].strip() for line in output.splitlines() if line.startswith("E  ")), "")
    if run.returncode == TESTS_FAILED and re.search(r"^\d+ failed", output, re.MULTILINE):
        return "failed", blamed
    if run.returncode != 0:
        print(output[-3000:])
    return "passed" if run.returncode == 0 else "broken", blamed


@contextmanager
def applied(copy: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with one defect.

    Raises:
        ValueError: The text to replace does not occur exactly once: the code has moved on, the mutant must follow.
    """
    whole = {copy / edit.file: (copy / edit.file).read_text() for edit in mutant.edits}
    try:
        for edit in mutant.edits:
            text = (copy / edit.file).read_text()
            if text.count(edit.old) != 1:
                raise ValueError(f"{mutant.name}: its text occurs {text.count(edit.old)} times in {edit.file}")
            (copy / edit.file).write_text(text.replace(edit.old, edit.new))
        yield
    finally:
        for path, text in whole.items():
            path.write_text(text)


def main(names: list[str]) -> int:
    """0 where every chosen mutant was noticed, 1 where one was not, 2 where there is no such mutant."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    unknown = set(names) - {mutant.name for mutant in chosen}
    if unknown:
        print(f"no mutant is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    survivors = []
    with copy_of_checkout() as copy:
        print(f"without a mutant: {len({mutant.test for mutant in chosen})} tests", flush=True)
        outcome, blamed = outcome_of(copy, sorted({mutant.test for mutant in chosen}))
        if outcome != "passed":
            print(f"{outcome}, mend that first: {blamed}")
            return 1
        for mutant in chosen:
            start = time.monotonic()
            with applied(copy, mutant):
                outcome, blamed = outcome_of(copy, [mutant.test])
            verdict = "noticed" if outcome == "failed" else f"NOT NOTICED, {outcome}"
            survivors += [mutant.name] if outcome != "failed" else []
            seconds = time.monotonic() - start
            print(f"{verdict}: {mutant.name} ({seconds:.0f} s)\n    {mutant.test}\n    {blamed[:160]}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants noticed")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
