//! From nothing to the first rule: `init`, `check`, `plan`, `apply` and `run` on projects of different shapes.

mod models;
mod project;

use crate::support::cache;
use crate::support::process::instant;
use project::Project;

const SHOP: &str = "
from django.conf import settings
from django.db import models
class Customer(models.Model):
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name='+')
    api_token = models.CharField(max_length=40)
    PasswordHint = models.CharField(max_length=40)
    photo = models.BinaryField(null=True)
    friends = models.ManyToManyField('self')
";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_gets_a_file_that_passes_as_it_is_and_an_existing_file_stays() {
    let project = Project::start("python", &[], "").await;
    project.migrate().await;
    let said = project.init().await;
    assert!(said.contains("instant check --db") && said.contains("DATABASE_URL"), "{said}");
    let file = project.file();
    assert!(file.contains("secret_key = \"${DJANGO_SECRET_KEY}\""), "{file}");
    assert!(file.starts_with("#:schema ./instant.schema.json\n"), "{file}");
    let schema = project.instant(&["gen", "schema"]).await;
    assert_eq!(
        schema,
        std::fs::read_to_string(cache::manifest("docs/instant.schema.json")).unwrap()
    );
    project.take_all_and_run().await;
    let said = project.init().await;
    assert!(said.contains("is left unchanged") && said.contains("--diff"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_application_is_read_whole() {
    let wagtail = [
        "contrib.forms",
        "contrib.redirects",
        "embeds",
        "sites",
        "users",
        "snippets",
        "documents",
        "images",
        "search",
        "admin",
        "",
    ];
    let names = wagtail.map(|name| format!("'wagtail.{name}'").replace(".'", "'"));
    let settings = format!(
        "INSTALLED_APPS += [{}, 'modelcluster', 'taggit']\nWAGTAIL_SITE_NAME = 'x'\nWAGTAILADMIN_BASE_URL = 'http://x'\n",
        names.join(", ")
    );
    let project = Project::start("python-apps", &[("shop", SHOP)], &settings).await;
    project.migrate().await;
    let mut arguments = vec!["init", "--python", project.python.to_str().unwrap()];
    for app in [
        "wagtailcore",
        "wagtailimages",
        "wagtaildocs",
        "wagtailusers",
        "wagtailforms",
        "taggit",
        "auth",
        "admin",
    ] {
        arguments.extend(["--app", app]);
    }
    project.instant(&arguments).await;
    let file = project.file();
    assert!(file.matches("# [[watch]]").count() > 40, "{file}");
    assert!(!file.contains("\"password\""), "{file}");
    project.take_all_and_run().await;
    let wrong = [
        "init",
        "--diff",
        "--python",
        project.python.to_str().unwrap(),
        "--app",
        "wagtial",
    ];
    let output = instant(project.path(), &wrong, &project.environment()).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && said.contains("no models in an app `wagtial`"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_init_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = async |arguments: &[&str]| {
        let output = instant(folder.path(), arguments, &[("DATABASE_URL", "")]).await;
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["init"]).await.contains("--manage or --database-url"));
    assert!(
        said(&["init", "--manage", "shop/manage.py"])
            .await
            .contains("there is no shop/manage.py")
    );
    std::fs::write(
        folder.path().join("manage.py"),
        "raise SystemExit('settings need SHOP_KEY')\n",
    )
    .unwrap();
    let loading = said(&["init"]).await;
    assert!(
        loading.contains("settings need SHOP_KEY") && loading.contains("--python"),
        "{loading}"
    );
    assert!(
        said(&["init", "--python", "no/python"])
            .await
            .contains("name the project's interpreter")
    );
    assert!(!folder.path().join("instant.toml").exists());
}
