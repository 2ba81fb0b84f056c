"""How does a payment open that fraud rules have a say in?

Its past is read, and it is recorded there, in the transaction that opens it; what is decided
between the two messages settles what is written: an attempt, or none where it is blocked. Where
the past cannot be had in time, the tenant's word for that stands, and the decision says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import msgspec

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.events.writing import insert_event
from payengine.fraud.decide import Evaluated
from payengine.fraud.decisions import Decision
from payengine.fraud.keeping import decision_event
from payengine.fraud.past import Claim, Reading, Recalled, read_past, record_past
from payengine.fraud.rulebook import Ruleset
from payengine.fraud.screening import Screening, Subject, subject_context, with_past
from payengine.fraud.tokens import NOBODY
from payengine.marketplace.dividing import split_payment
from payengine.marketplace.meant import SplitInput
from payengine.payments import store
from payengine.payments.attempts import Intent, Route
from payengine.payments.batch import Opening, Screened
from payengine.payments.inputs import ConfirmPayment, CreatePayment, FraudInput
from payengine.payments.means import Means
from payengine.payments.models import BLOCKED, Operation, Payment
from payengine.payments.screening_rows import insert_decision, told_before
from payengine.payments.settle import event_of
from payengine.payments.wallets import WalletPayment
from payengine.plugin.fraud import FraudContext
from payengine.storage import Session

__all__ = ["AskFirst", "Screen", "Verdict", "write_opening"]

#: Makes the intent of an attempt once it is known how it is to be made.
MakeIntent = Callable[[Payment, Route], Intent]


@dataclass(slots=True)
class Verdict:
    """How an opening ended: the payment as it was written and, where it was not blocked, what is
    to be sent. Without `opened`, the key has made another payment before. `told` is what the rules
    were told."""

    payment: Payment
    opened: bool = False
    intent: Intent | None = None
    told: FraudContext | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """The rules that hold for one request, and what they are told of it."""

    means: Means
    fraud: Screening
    rules: Ruleset
    tenant: TenantContext
    reading: Reading | None
    told: FraudContext
    number: int
    #: What was said by the rules whose code is not here, once they were asked.
    asked: list[Evaluated] = field(default_factory=list)

    @classmethod
    async def of(
        cls,
        means: Means,
        tenant: TenantContext,
        request: CreatePayment | ConfirmPayment,
        payment: Payment,
        route: Route,
        *,
        at: datetime,
        number: int = 1,
        session: Session | None = None,
    ) -> Screen | None:
        """What screens this attempt; None where no rule has anything to say."""
        fraud = means.fraud
        rules = None if fraud is None else await fraud.active(tenant, "pre_auth")
        if fraud is None or rules is None:
            return None
        subject = _subject(tenant, request, payment, route)
        # The tenant's key is made with the first name: what is refused must leave no row.
        namer = await fraud.tokens.of(tenant.tenant_id) if subject.is_named else NOBODY
        earlier = None
        if session is not None and number > 1:
            before = await told_before(session, tenant.tenant_id, payment.id)
            if before is not None:
                # One that was blocked has a number too, though it made no attempt.
                number, earlier = max(number, before[0] + 1), before[1]
        told = subject_context(
            subject,
            namer,
            tenant_id=tenant.tenant_id,
            stage="pre_auth",
            payment_id=payment.id,
            at=at,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            method_kind=route.tender.method.kind,
            off_session=payment.off_session,
            metadata=payment.metadata,
            base=rules.base,
            earlier=earlier,
        )
        claim = None
        if isinstance(request, CreatePayment):
            claim = Claim(
                key=request.idempotency_key,
                resource_id=payment.id,
                customer_id=payment.customer_id,
            )
        reading = fraud.reading(
            told,
            rules,
            subject,
            namer,
            tenant_id=tenant.tenant_id,
            number=number,
            claim=claim,
        )
        return cls(means, fraud, rules, tenant, reading, told, number)

    def judge(self, recalled: Recalled | None) -> Decision:
        """The decision over what is known; without the past where it was wanted, a degraded one."""
        missing = self.reading is not None and recalled is None
        return self.fraud.judge(
            self.tenant,
            self.rules,
            self.told,
            recalled,
            number=self.number,
            missing=missing,
            asked=self.asked,
        )

    async def ask_elsewhere(self) -> None:
        """Ask the rules whose code is not here, before anything is written.

        They are told the past as it stands now; the attempt becomes part of it when it is opened.
        """
        if not self.rules.asked[self.told.stage]:
            return
        recalled = None
        if self.reading is not None:
            try:
                async with self.means.database.tenant(self.tenant.tenant_id) as session:
                    recalled = (await read_past(session, [self.reading])).get(self.told.payment_id)
            except asyncpg.PostgresError:
                pass  # they are told what is known without it
            else:
                if recalled is None and self.reading.claim is not None:
                    return  # the key is taken: what it has made before is answered
        await self.ask(recalled)

    async def ask(self, recalled: Recalled | None) -> None:
        """Ask them, told of this past; no transaction may be open."""
        about = with_past(self.told, self.rules, recalled)
        rules = self.rules.asked[self.told.stage]
        self.asked.extend(await self.fraud.asking.ask(self.tenant, rules, about))

    async def open(
        self,
        payment: Payment,
        route: Route,
        make: MakeIntent,
        *,
        claimed: bytes,
        key: str,
        wallet: WalletPayment | None,
        split: SplitInput | None = None,
    ) -> Verdict:
        """Claim the key and write the payment, its decision and, unless blocked, its attempt."""
        verdict = Verdict(payment)

        def finish(recalled: Recalled | None) -> Opening:
            decision = self.judge(recalled)
            verdict.told = decision.context
            opening = _opening(
                self.tenant, verdict, decision, payment, route, make, key=key, claimed=claimed
            )
            return msgspec.structs.replace(opening, past=recalled, split=split)

        # A wallet's token is spent in the transaction that claims the key: not in a batch.
        if wallet is None and split is None:
            screened = Screened(
                tenant_id=self.tenant.tenant_id,
                key=key,
                reading=self.reading,
                finish=finish,
            )
            if await self.means.batches.screen(screened):
                verdict.opened = True
                return verdict
        return await self._open_alone(verdict, finish, wallet)

    async def _open_alone(
        self,
        verdict: Verdict,
        finish: Callable[[Recalled | None], Opening],
        wallet: WalletPayment | None,
    ) -> Verdict:
        tenant_id = self.tenant.tenant_id
        for is_read in (True, False):
            try:
                async with self.means.database.tenant(tenant_id) as session:
                    recalled = await self._recall(session) if is_read else None
                    opening = finish(recalled)
                    earlier = await store.claim_payment(
                        session,
                        tenant_id,
                        opening.payment,
                        key=opening.key,
                        fingerprint=opening.fingerprint,
                    )
                    if earlier is not None:
                        raise _Taken
                    if wallet is not None and opening.attempt is not None:
                        await wallet.spend(
                            session, tenant_id, opening.payment, at=opening.payment.created_at
                        )
                    await write_opening(session, tenant_id, opening)
                verdict.opened = True
                return verdict
            except _Taken:
                return verdict
            except _PastUnread:
                continue
        return verdict

    async def _recall(self, session: Session) -> Recalled | None:
        """The past, read in this transaction; raises `_PastUnread` where it cannot be, and
        `_Taken` where the key is."""
        if self.reading is None:
            return None
        try:
            recalled = await read_past(session, [self.reading])
        except asyncpg.PostgresError as problem:
            raise _PastUnread from problem
        found = recalled.get(self.told.payment_id)
        if found is None and self.reading.claim is not None:
            # The key is taken, or there is no such customer: opening it says which.
            return None
        return found

    async def stops_again(self, session: Session, route: Route, *, at: datetime) -> bool:
        """Decide on a further attempt, in the transaction that holds the payment's row, and keep
        the decision; whether it is blocked. How it is to be made is then told to `route`.

        Raises `AskFirst` where rules are to be asked that may not be asked in a transaction."""
        if self.rules.asked[self.told.stage] and not self.asked:
            recalled = None
            if self.reading is not None:
                recalled = (await read_past(session, [self.reading])).get(self.told.payment_id)
            raise AskFirst(self, recalled)
        decision = await self._again(session)
        tenant_id = self.tenant.tenant_id
        await insert_decision(session, tenant_id, decision.row(at=wall_now()))
        told = decision_event(decision, at=at)
        if told is not None:
            await insert_event(session, tenant_id, told)
        if not decision.decided.blocks:
            _screened_route(route, decision)
        return decision.decided.blocks

    async def _again(self, session: Session) -> Decision:
        if self.reading is None:
            return self.judge(None)
        await session.execute("SAVEPOINT past")
        try:
            recalled = (await read_past(session, [self.reading])).get(self.told.payment_id)
            if recalled is not None:
                await record_past(session, self.tenant.tenant_id, recalled)
        except asyncpg.PostgresError:
            await session.execute("ROLLBACK TO SAVEPOINT past")
            recalled = None
        return self.judge(recalled)


class AskFirst(Exception):
    """Rules have a say whose code is not here: the transaction is left, and begun anew."""

    def __init__(self, screen: Screen, recalled: Recalled | None) -> None:
        super().__init__()
        self._screen = screen
        self._recalled = recalled

    async def asked(self) -> list[Evaluated]:
        """What they say."""
        await self._screen.ask(self._recalled)
        return self._screen.asked


class _Taken(Exception):
    """The key has made a payment before; what was read is given back."""


class _PastUnread(Exception):
    """The database did not say what the past was."""


async def write_opening(session: Session, tenant_id: uuid.UUID, opening: Opening) -> None:
    """Write what goes with a payment whose key is claimed and whose row stands."""
    if opening.attempt is not None and opening.operation is not None:
        await store.record_intent(
            session, tenant_id, opening.attempt, opening.operation, opening.event
        )
    else:
        await insert_event(session, tenant_id, opening.event)
    if opening.past is not None:
        await record_past(session, tenant_id, opening.past)
    for event in opening.events:
        await insert_event(session, tenant_id, event)
    if opening.decision is not None:
        await insert_decision(session, tenant_id, opening.decision)
    if opening.split is not None:
        await split_payment(
            session,
            tenant_id,
            opening.split,
            payment_id=opening.payment.id,
            amount_minor=opening.payment.amount_minor,
            currency=opening.payment.currency,
            at=opening.payment.created_at,
        )


def _opening(
    tenant: TenantContext,
    verdict: Verdict,
    decision: Decision,
    payment: Payment,
    route: Route,
    make: MakeIntent,
    *,
    key: str,
    claimed: bytes,
) -> Opening:
    at = payment.created_at
    operation: Operation | None = None
    intent = None
    if decision.decided.blocks:
        payment = msgspec.structs.replace(
            payment, status="DECLINED", decline_code=BLOCKED, gateway=None
        )
        event = event_of("payment.declined", payment, None, at=at)
    else:
        route = _screened_route(route, decision)
        intent = make(payment, route)
        operation = intent.operation
        event = event_of("payment.created", payment, operation, at=at)
    verdict.payment, verdict.intent = payment, intent
    told = decision_event(decision, at=at)
    return Opening(
        tenant_id=tenant.tenant_id,
        key=key,
        fingerprint=claimed,
        payment=payment,
        attempt=intent.attempt if intent is not None else None,
        operation=operation,
        event=event,
        events=() if told is None else (told,),
        decision=decision.row(at=wall_now()),
    )


def _screened_route(route: Route, decision: Decision) -> Route:
    """The way of an attempt that is to be challenged, or held until somebody has looked."""
    verdict = decision.decided.verdict
    if verdict in ("challenge", "review"):
        route.tender = msgspec.structs.replace(
            route.tender, challenge=verdict == "challenge", held=verdict == "review"
        )
    return route


def _subject(
    tenant: TenantContext,
    request: CreatePayment | ConfirmPayment,
    payment: Payment,
    route: Route,
) -> Subject:
    given = request.fraud or FraudInput()
    tender = route.tender
    token = tender.method.network_token
    is_test = tenant.mode == "test"
    card = given.card_fingerprint
    if card is None and token is not None:
        card = token.number
    elif card is None and not is_test:
        # A test world's tokens stand for nobody's card: everybody pays with the same few.
        card = payment.saved_payment_method_id or tender.method.token
    return Subject(
        card=card,
        issuer_range=token.number[:8] if token is not None else tender.card_digits,
        issuer_country=tender.country,
        customer=payment.customer_id,
        account_age_days=given.account_age_days,
        email=given.email,
        device=given.device,
        ip=given.ip,
        ip_country=given.ip_country,
        billing_country=given.billing_country,
        ship_country=given.shipping_country,
        seller=given.seller_id,
        test_token=tender.method.token if is_test and token is None else None,
    )
