package authrules

import "errors"

// One error for each rule that rejects. The numbers are those of room version 12
// unless a version is named.
var (
	ErrCreatePrevEvents = errors.New("create event has previous events")                           // 1.1
	ErrCreateRoomServer = errors.New("room id of create event is not of its sender's server")      // 1.2, versions 1 to 11
	ErrCreateRoomID     = errors.New("create event has a room id")                                 // 1.2
	ErrCreateVersion    = errors.New("create event has an unknown room version")                   // 1.3
	ErrCreateCreator    = errors.New("create event has no creator")                                // 1.4, versions 1 to 10
	ErrCreateCreators   = errors.New("additional creators of create event are not valid user ids") // 1.4

	ErrRoomID = errors.New("room id is not that of the room's create event") // 2

	ErrAuthDuplicate  = errors.New("auth events name the same piece of state twice")       // 3.1
	ErrAuthUnexpected = errors.New("auth events hold an event that the rules do not need") // 3.2
	ErrNoCreate       = errors.New("auth events hold no create event")                     // 3.4, versions 1 to 11
	ErrAuthRoom       = errors.New("auth event is of another room")                        // 3.5

	ErrNotFederated = errors.New("room is not for users of other servers") // 4

	ErrAliasesStateKey = errors.New("aliases event has no state key")                    // 4.1, versions 1 to 5
	ErrAliasesServer   = errors.New("aliases event is not for the server of its sender") // 4.2, versions 1 to 5

	ErrMemberForm        = errors.New("member event lacks a state key or a membership")                   // 5.1
	ErrNotCosigned       = errors.New("join is not signed by the server of the user that authorised it")  // 5.2.1
	ErrJoinOther         = errors.New("only the user can join as that user")                              // 5.3.2
	ErrJoinBanned        = errors.New("user is banned from this room")                                    // 5.3.3
	ErrJoinNotInvited    = errors.New("user is not invited to this room")                                 // 5.3.4, 5.3.7
	ErrJoinNotAuthorised = errors.New("join was not authorised by a member who may invite")               // 5.3.5.2
	ErrJoinRule          = errors.New("join rule of this room lets nobody in")                            // 5.3.7
	ErrTPBanned          = errors.New("user of the third-party invite is banned")                         // 5.4.1.1
	ErrTPNotSigned       = errors.New("third-party invite has no signed part")                            // 5.4.1.2
	ErrTPForm            = errors.New("signed part of the third-party invite lacks mxid or token")        // 5.4.1.3
	ErrTPUser            = errors.New("third-party invite is for another user")                           // 5.4.1.4
	ErrTPUnknown         = errors.New("third-party invite is not in the room")                            // 5.4.1.5
	ErrTPSender          = errors.New("third-party invite was sent by another user")                      // 5.4.1.6
	ErrTPSignature       = errors.New("third-party invite is not signed with a key of the room's invite") // 5.4.1.8
	ErrInviteNotJoined   = errors.New("only members can invite")                                          // 5.4.2
	ErrInviteMember      = errors.New("user is already in the room, or is banned")                        // 5.4.3
	ErrInviteLevel       = errors.New("power level is too low to invite")                                 // 5.4.5
	ErrLeaveNotIn        = errors.New("user is neither in the room nor invited, and did not knock")       // 5.5.1
	ErrKickNotJoined     = errors.New("only members can kick")                                            // 5.5.2
	ErrUnbanLevel        = errors.New("power level is too low to unban")                                  // 5.5.3
	ErrKickLevel         = errors.New("power level is too low to kick this user")                         // 5.5.5
	ErrBanNotJoined      = errors.New("only members can ban")                                             // 5.6.1
	ErrBanLevel          = errors.New("power level is too low to ban this user")                          // 5.6.3
	ErrKnockRule         = errors.New("join rule of this room does not allow knocking")                   // 5.7.1
	ErrKnockOther        = errors.New("only the user can knock as that user")                             // 5.7.2
	ErrKnockMember       = errors.New("user cannot knock, being in the room, invited or banned")          // 5.7.4
	ErrMembership        = errors.New("membership is not one that this room version knows")               // 5.8

	ErrSenderNotJoined       = errors.New("sender is not in the room")                                 // 6
	ErrThirdPartyInviteLevel = errors.New("power level is too low for a third-party invite")           // 7.1
	ErrEventLevel            = errors.New("power level is too low for this type of event")             // 8
	ErrForeignStateKey       = errors.New("state key is the id of another user")                       // 9
	ErrLevelsValue           = errors.New("power levels have a value that is not an integer")          // 10.1, 10.2
	ErrLevelsUsers           = errors.New("power levels of users are not integers by user id")         // 10.3
	ErrLevelsCreator         = errors.New("power levels name a creator of the room")                   // 10.4
	ErrLevelsChange          = errors.New("power levels change a value above the sender's own level")  // 10.6 to 10.8
	ErrLevelsPeer            = errors.New("power levels change a user of the sender's level or above") // 10.9
	ErrLevelsRaise           = errors.New("power levels give a user more than the sender has")         // 10.10
	ErrRedaction             = errors.New("power level is too low to redact this event")               // 11.3, versions 1 and 2
)
