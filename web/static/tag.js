// The storefront tag: fills every <div data-banner-slot="home_top"> of a page with a banner, all with one request.
//
//   <script async src="https://banners.example/tag.js" data-key="bk_..." data-city="Pune"></script>
//
// What the div holds is shown until then, and stays where there is no banner or no answer in time. No cookies, nothing
// stored, and only simple requests: a page of another origin needs no permission beforehand. A served copy has neither
// comments nor indentation, so nothing here may depend on a line's beginning.
(() => {
  const script = document.currentScript;
  const service = new URL(".", script.src).href;
  const option = (name) => script.getAttribute("data-" + name);

  // The customer stays unnamed where the visitor asks not to be tracked, or the page's own consent hook says no.
  const mayNameCustomer = () =>
    navigator.doNotTrack !== "1" && !navigator.globalPrivacyControl && (!window.bannerConsent || window.bannerConsent());

  const question = (places) => {
    const body = { slots: places.map((place) => place.dataset.bannerSlot) };
    for (const name of ["city", "platform", "segment", "referrer_id", "customer_id"]) {
      const value = option(name.replace("_", "-"));
      if (value && (name !== "customer_id" || mayNameCustomer())) body[name] = value;
    }
    return JSON.stringify(body);
  };

  const report = (kind, token) => navigator.sendBeacon(service + kind, JSON.stringify({ token }));

  // A view: half of the picture was on screen for one second, in a tab that people could see.
  const reportView = (image, token) => {
    let timer;
    let isOnScreen = false;
    const look = () => {
      clearTimeout(timer);
      if (isOnScreen && !document.hidden) timer = setTimeout(seen, 1000);
    };
    const observer = new IntersectionObserver(
      (entries) => {
        isOnScreen = entries.pop().intersectionRatio >= 0.5;
        look();
      },
      { threshold: 0.5 },
    );
    const seen = () => {
      observer.disconnect();
      document.removeEventListener("visibilitychange", look);
      report("view", token);
    };
    document.addEventListener("visibilitychange", look);
    observer.observe(image);
  };

  const show = (place, banner) => {
    const link = document.createElement("a");
    const image = document.createElement("img");
    const own = [...place.childNodes];
    // Width and height give the proportions, so that the page stays still while the picture loads.
    if (banner.width && banner.height) {
      image.width = banner.width;
      image.height = banner.height;
    }
    image.style.cssText = "display:block;max-width:100%;height:auto";
    image.loading = "lazy";
    image.alt = banner.alt || banner.banner;
    image.onload = () => reportView(image, banner.token);
    image.onerror = () => {
      place.replaceChildren(...own);
      place.dataset.banner = "";
    };
    // A click event comes from the keyboard, too; auxclick is the middle button, or the right one, which opens a menu.
    link.onclick = () => report("click", banner.token);
    link.onauxclick = (event) => event.button === 1 && report("click", banner.token);
    link.href = banner.landing_url;
    link.append(image);
    image.src = banner.image_url;
    place.replaceChildren(link);
    place.dataset.banner = banner.banner;
  };

  const take = (place, result) => {
    if (result.status === 200) show(place, result);
    if (result.error) console.warn(`banner slot ${place.dataset.bannerSlot}: ${result.error.message}`);
  };

  const ask = async (places) => {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), option("deadline-ms") || 2000);
    try {
      const address = service + "page?key=" + encodeURIComponent(option("key"));
      const request = { method: "POST", body: question(places), credentials: "omit", signal: stop.signal };
      const answer = await (await fetch(address, request)).json();
      if (answer.error) throw answer.error.message;
      places.forEach((place, index) => take(place, answer.results[index]));
    } catch (reason) {
      console.warn("banners:", reason);
    }
    clearTimeout(timer);
  };

  // Asks for every slot that was not asked for yet; call it again after adding slots to the page.
  window.showBanners = () => {
    const places = [...document.querySelectorAll("[data-banner-slot]:not([data-banner])")];
    for (const place of places) place.dataset.banner = "";
    if (places.length) ask(places);
  };

  const start = () => {
    if (document.prerendering) document.addEventListener("prerenderingchange", showBanners, { once: true });
    else showBanners();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
