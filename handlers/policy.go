package handlers

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/cedar-policy/cedar-go"
)

// DefaultDeny is the policy id of a denial that no policy decided.
const DefaultDeny = "default-deny"

//go:embed policy.cedar
var defaultPolicy []byte

// Policy is the policy decision point: it answers from the policies and from
// what it is told, and looks nothing up. It is safe for concurrent use.
type Policy struct {
	policies policyList
	// byAction are those of the policies that can have a say about an action; the
	// others are about another one only.
	byAction map[string]policyList
	// decided are decisions of these policies, which never change.
	decided *decisions
	// inChat are the parents of a member: the entity of the chat in question,
	// which needs no id of its own.
	inChat cedar.EntityUIDSet
}

// DefaultPolicy returns the policies in the binary.
func DefaultPolicy() (*Policy, error) {
	return NewPolicy(defaultPolicy)
}

// NewPolicy parses policies in the Cedar language; policy.cedar documents what
// they can ask about. A text without policies is an error, and so is a policy
// without an @id or with one that is taken: an operator whose file denies
// everything should learn it before the users do.
func NewPolicy(text []byte) (*Policy, error) {
	parsed, err := cedar.NewPolicyListFromBytes("", text)
	if err != nil {
		return nil, fmt.Errorf("parsing policies: %w", err)
	}
	if len(parsed) == 0 {
		return nil, errors.New("parsing policies: there are none")
	}
	p := &Policy{inChat: cedar.NewEntityUIDSet(theChat), decided: newDecisions()}
	var faults []error
	taken := map[cedar.PolicyID]bool{DefaultDeny: true}
	for _, policy := range parsed {
		id := cedar.PolicyID(policy.Annotations()["id"])
		at := policy.Position()
		switch {
		case id == "":
			faults = append(faults, fmt.Errorf("line %d, column %d: the policy has no @id", at.Line, at.Column))
		case taken[id]:
			faults = append(faults, fmt.Errorf("line %d, column %d: the @id %q is taken", at.Line, at.Column, id))
		}
		taken[id] = true
		p.policies = append(p.policies, namedPolicy{id, policy})
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("parsing policies: %w", errors.Join(faults...))
	}
	p.byAction = map[string]policyList{}
	for _, action := range knownActions {
		concerned, err := p.policies.about(action)
		if err != nil {
			return nil, fmt.Errorf("parsing policies: %w", err)
		}
		p.byAction[action] = concerned
	}
	return p, nil
}

// Decide tells whether the user may take the action, and the id of the policy
// that decided: a permit, a forbid, a policy that could not be evaluated (which
// denies, as it might have been a forbid), or DefaultDeny.
//
//	send            members of the chat; other is the recipient
//	read            members of the chat; other is not used
//	create_chat     members of the chat to be; other is not used
//	update_profile  other is whose details are changed; members are not used
func (p *Policy) Decide(action string, user int64, members []int64, other int64) (permit bool, policyID string) {
	q := question{user: user, userInChat: slices.Contains(members, user)}
	if isAboutUser(action) {
		q.other, q.otherInChat = other, slices.Contains(members, other)
	}
	known := slices.Index(knownActions, action)
	if known < 0 {
		return p.named(p.decide(action, q, p.policies))
	}
	q.action = uint8(known) //nolint:gosec // there are a handful
	a, found := p.decided.find(q)
	if !found {
		a = p.decide(action, q, p.byAction[action])
		p.decided.keep(q, a)
	}
	return p.named(a)
}

// named tells the deciding policy by its id.
func (p *Policy) named(a answer) (permit bool, policyID string) {
	if a.policy < 0 {
		return false, DefaultDeny
	}
	return a.permit, string(p.policies[a.policy].id)
}

// decide evaluates the policies.
func (p *Policy) decide(action string, q question, policies policyList) answer {
	request := cedar.Request{
		Principal: userUID(q.user),
		Action:    cedar.NewEntityUID("Action", cedar.String(action)),
		Resource:  theChat,
	}
	known := entities{user: request.Principal, inChat: p.inChat, userInChat: q.userInChat}
	if isAboutUser(action) {
		request.Resource = userUID(q.other)
		known.other, known.otherInChat = request.Resource, q.otherInChat
	}
	decision, diagnostic := cedar.Authorize(policies, &known, request)
	switch {
	case len(diagnostic.Errors) > 0:
		return answer{policy: p.place(diagnostic.Errors[0].PolicyID)}
	case len(diagnostic.Reasons) > 0:
		return answer{policy: p.place(diagnostic.Reasons[0].PolicyID), permit: decision == cedar.Allow}
	default:
		return answer{policy: -1}
	}
}

// place is where the policy of that id stands.
func (p *Policy) place(id cedar.PolicyID) int32 {
	return int32(slices.IndexFunc(p.policies, func(named namedPolicy) bool { return named.id == id })) //nolint:gosec // a file's policies
}

// ActionSend is what the sender of a message asks to do.
const ActionSend = "send"

// knownActions are those that somebody asks about.
var knownActions = []string{ActionSend, "read", "create_chat", actionUpdateProfile}

// actionUpdateProfile is about a user, like ActionSend, and not about a chat.
const actionUpdateProfile = "update_profile"

// isAboutUser tells the actions whose resource is the other user, not the chat.
func isAboutUser(action string) bool {
	return action == ActionSend || action == actionUpdateProfile
}

// theChat stands for the one chat that a decision is about.
var theChat = cedar.NewEntityUID("Chat", "this")

func userUID(id int64) cedar.EntityUID {
	return cedar.NewEntityUID("User", cedar.String(strconv.FormatInt(id, 10)))
}

// entities are the two users of a decision, as children of the chat if they are
// members. A membership as an edge costs nothing; as a set of all the members in
// an attribute it would cost more than the decision.
type entities struct {
	user, other             cedar.EntityUID
	userInChat, otherInChat bool
	inChat                  cedar.EntityUIDSet
}

// Get implements cedar.EntityGetter.
func (e *entities) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	if e.userInChat && uid == e.user || e.otherInChat && uid == e.other {
		return cedar.Entity{UID: uid, Parents: e.inChat}, true
	}
	return cedar.Entity{}, false
}

// policyList keeps the policies in the order of their file, so that of several
// that match always the first is named.
type policyList []namedPolicy

type namedPolicy struct {
	id     cedar.PolicyID
	policy *cedar.Policy
}

// about leaves out the policies whose scope names another action: evaluating them
// would only find that out, for every message.
func (l policyList) about(action string) (policyList, error) {
	var concerned policyList
	for _, p := range l {
		text, err := p.policy.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("reading the scope of policy %q: %w", p.id, err)
		}
		var scope struct {
			Action struct {
				Op     string `json:"op"`
				Entity struct {
					Type string `json:"type"`
					ID   string `json:"id"`
				} `json:"entity"`
			} `json:"action"`
		}
		if err := json.Unmarshal(text, &scope); err != nil {
			return nil, fmt.Errorf("reading the scope of policy %q: %w", p.id, err)
		}
		named := scope.Action
		if named.Op != "==" || named.Entity.Type == "Action" && named.Entity.ID == action {
			concerned = append(concerned, p)
		}
	}
	return concerned, nil
}

// All implements cedar.PolicyIterator.
func (l policyList) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range l {
			if !yield(p.id, p.policy) {
				return
			}
		}
	}
}
