/** The portals room's door. */
export {
  createPortals,
  portalName,
  PortalError,
  type Portal,
  type Portals,
  type PortalState,
} from './portals.ts';
export { OWN_PORTAL, OWN_RETURN_PATH, ownPortal } from './own.ts';
export { CIBA, DEVICE_CODE, PROFILES, type PortalProfile, type Profile } from './profiles.ts';
export { portalRegistration, type ClientMetadata, type PortalRegistration } from './registration.ts';
export { createResources, resourceRegistration, type Resource, type Resources } from './resources.ts';
