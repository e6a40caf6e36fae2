export { differingMembers, gatewaysOf } from './cluster-view.ts';
export type { ClusterView } from './cluster-view.ts';
export { Membership } from './membership.ts';
export type { MembershipOptions } from './membership.ts';
export type { Member, Role } from './member.ts';
export type { SignalStore } from './signal-store.ts';
export type { BucketStore } from './bucket-store.ts';
